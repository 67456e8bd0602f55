# Language level, warnings, hardening and sanitizers, in one interface target that every
# room links: fairlead::compiler. Third-party and generated code does not link it.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# A program maps only the libraries it calls: the agent stays small.
add_link_options(-Wl,--as-needed)

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(fairlead_compiler INTERFACE)
add_library(fairlead::compiler ALIAS fairlead_compiler)
target_include_directories(fairlead_compiler INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(fairlead_compiler INTERFACE
    _GNU_SOURCE FAIRLEAD_VERSION="${PROJECT_VERSION}")
target_compile_options(fairlead_compiler INTERFACE
    -include ${CMAKE_SOURCE_DIR}/common/base/banned.h
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum
    -Wimplicit-fallthrough -Wnull-dereference -fno-common
    # Clang sees a cast away of const in every __INIT macro that protoc-c generates.
    $<$<C_COMPILER_ID:GNU>:-Wcast-qual>
    # Messages and hints are truncated on purpose, at the size of struct err.
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
    $<$<BOOL:${FAIRLEAD_WERROR}>:-Werror>)

if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    add_compile_options(-Og -g)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong)
    add_link_options(-pie -Wl,-z,relro,-z,now)
endif()

if(FAIRLEAD_SANITIZE)
    add_compile_options(-fsanitize=${FAIRLEAD_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${FAIRLEAD_SANITIZE})
    # A sanitizer's own instrumentation confuses the flow analysis behind this warning.
    target_compile_options(fairlead_compiler INTERFACE -Wno-null-dereference)
endif()
if(FAIRLEAD_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()
if(FAIRLEAD_FUZZ)
    # libFuzzer sees what the rooms do; its own main comes with the targets in tests/fuzz.
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FAIRLEAD_TIDY)
    find_program(CLANG_TIDY clang-tidy REQUIRED)
endif()

# fairlead_room(NAME SOURCES… LINK…): a static library of one room of the house.
function(fairlead_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ROOM_SOURCES})
    target_link_libraries(${name} PUBLIC fairlead::compiler ${ROOM_LINK})
    if(FAIRLEAD_TIDY)
        set_target_properties(${name} PROPERTIES C_CLANG_TIDY "${CLANG_TIDY};--quiet")
    endif()
endfunction()

# fairlead_program(NAME SOURCES… LINK…): one of the programs, put in build/<preset>/bin.
function(fairlead_program name)
    cmake_parse_arguments(PROGRAM "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${PROGRAM_SOURCES})
    target_link_libraries(${name} PRIVATE fairlead::compiler ${PROGRAM_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    if(FAIRLEAD_TIDY)
        set_target_properties(${name} PROPERTIES C_CLANG_TIDY "${CLANG_TIDY};--quiet")
    endif()
endfunction()
