/* The built-in rules: DESIGN "Plan". A file belongs to the strongest class that claims it (FULL
 * over APP over NONE), so the rows go from strong to weak; templates of environment files, which
 * nothing reads at run time, stand in front. `fairlead plan` names the pattern that decided. */
#include "coordinator/plan/rules.h"

#include "common/base/mem.h"

/* struct app_rule owns its strings elsewhere, so they are not const: give it arrays. */
#define P(text) ((char[]){text})
#define MATCH(...) ((char *[]){__VA_ARGS__, NULL})
#define ALL_SERVICES ((char *[]){NULL})
#define RULE(name, ...)                                                                            \
	{                                                                                          \
		.match = MATCH(__VA_ARGS__), .class = FAIRLEAD__V1__ACTION_CLASS__##name,          \
		.services = ALL_SERVICES, .line = 0                                                \
	}

const struct app_rule builtin_rules[] = {
	/* Written for people, copied by hand. */
	RULE(NO_RESTART, P(".env*.template"), P(".env*.example"), P(".env*.sample"),
		P(".env*.dist")),

	/* Containers and images. */
	RULE(FULL_RESTART, P("docker-compose*.y*ml"), P("compose*.y*ml"), P("Dockerfile*"),
		P("*.Dockerfile"), P("Containerfile*"), P(".dockerignore")),
	/* What is installed beside the code: dependency and lock files, versions of run times. */
	RULE(FULL_RESTART, P("requirements*.txt"), P("requirements/"), P("constraints*.txt"),
		P("pyproject.toml"), P("poetry.lock"), P("uv.lock"), P("pdm.lock"), P("Pipfile"),
		P("Pipfile.lock"), P("setup.{py,cfg}"), P("environment.y*ml"), P(".python-version"),
		P("runtime.txt")),
	RULE(FULL_RESTART, P("package.json"), P("package-lock.json"), P("npm-shrinkwrap.json"),
		P("yarn.lock"), P("pnpm-lock.yaml"), P("bun.lock*"), P(".npmrc"), P(".nvmrc"),
		P(".node-version")),
	RULE(FULL_RESTART, P("go.{mod,sum}"), P("Cargo.{toml,lock}"), P("Gemfile*"), P("*.gemspec"),
		P(".ruby-version"), P("composer.{json,lock}"), P("mix.{exs,lock}"), P("pom.xml"),
		P("*.gradle{,.kts}"), P("gradle.lockfile"), P("*.{cs,fs}proj"),
		P("packages.lock.json"), P("flake.{nix,lock}"), P(".tool-versions")),
	/* The shape of the data. */
	RULE(FULL_RESTART, P("*.sql"), P("sql_scripts/"), P("migrations/"), P("db/migrate/"),
		P("alembic/"), P("alembic.ini")),
	/* The environment, and how the app is started in it. */
	RULE(FULL_RESTART, P(".env*"), P("*.env"), P("Procfile"), P("*.service"),
		P("railway.{json,toml}")),

	/* Our own configuration: a service may be started otherwise now; what asked to be left
	 * alone below FULL_RESTART is. */
	RULE(APP_ONLY, P("/fairlead.yaml")),
	/* Folders the app reads at run time, whatever the names in them. */
	RULE(APP_ONLY, P("src/"), P("prompts/"), P("prompts-by-scenario/"), P("/app/**"),
		P("/lib/**"), P("/bin/**"), P("/templates/**"), P("/static/**"), P("/public/**")),
	/* Source code. */
	RULE(APP_ONLY, P("*.py"), P("*.{js,mjs,cjs,jsx,ts,mts,cts,tsx,vue,svelte}"), P("*.go"),
		P("*.rs"), P("*.rb"), P("*.php"), P("*.{java,kt,scala,clj,groovy}"), P("*.{cs,fs}"),
		P("*.{ex,exs,erl}"), P("*.{c,h,cc,cpp,hpp}"), P("*.{sh,pl,lua}"),
		P("*.{html,css,scss}")),

	/* Documentation, and what only tools read. */
	RULE(NO_RESTART, P("*.md"), P("*.rst"), P("*.txt"), P("docs/"), P("README*"),
		P("CHANGELOG*"), P("LICENSE*"), P("COPYING*"), P("NOTICE*"), P(".gitignore"),
		P(".gitattributes"), P(".gitkeep"), P(".editorconfig")),
	/* The inventory: which hosts there are, not what runs on them. */
	RULE(NO_RESTART, P("/fleet.yaml")),
};

const size_t builtin_rule_count = ARRAY_LEN(builtin_rules);
