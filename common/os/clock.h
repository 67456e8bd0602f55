/* The clocks. Engines take times as arguments; only their shells read these. */
#pragma once

#include <stdint.h>

uint64_t clock_unix_ms(void); /* CLOCK_REALTIME */
uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC */
uint64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: since the boot, sleep too; nobody can set it */
