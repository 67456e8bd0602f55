/* The YAML files: fairlead.yaml, fleet.yaml, policy.yaml and agent.yaml.
 *
 * Input: a letter that says which, then the file. A refusal names the file and the line; what is
 * accepted keeps the rules that the rest of the program relies on. */
#include "agent/config/agent_config.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/trust/policy.h"
#include "coordinator/config/app_config.h"
#include "coordinator/config/fleet_config.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>

static char *path;

/* "path:line: …", one line. */
static void check_refused(const struct err *err, const char *file)
{
	size_t len = strlen(file);
	MUST(err->code == ERR_CONFIG);
	MUST(strncmp(err->message, file, len) == 0 && err->message[len] == ':');
	MUST(isdigit((unsigned char)err->message[len + 1]));
	MUST(!strpbrk(err->message, "\n\r\x1b"));
}

static void check_service(const struct app_service *service)
{
	AUTO(buf) struct buf packed = {0};
	ProtobufCMessage *plan = NULL;
	MUST(text_is_name(service->name) && strcmp(service->plan->name, service->name) == 0);
	MUST(service->plan->process && service->plan->process->n_command > 0);
	PB_PACK(service->plan, &packed);
	MUST(pb_unpack_canonical(&fairlead__v1__service_plan__descriptor, buf_bytes(&packed), &plan,
		     NULL) == 0);
	pb_free(plan);
}

static void load_app(struct bytes text, const char *environment)
{
	struct app_config config = {0};
	struct err err = ERR_INIT;
	if (app_config_load_text("app.yaml", text, environment, &config, &err) < 0) {
		if (err.code != ERR_USAGE) /* which environment? */
			check_refused(&err, "app.yaml");
		return;
	}
	MUST(text_is_name(config.app) && text_is_name(config.environment));
	MUST(!environment || strcmp(config.environment, environment) == 0);
	MUST(config.service_count == 0 || config.services);
	for (size_t i = 0; i < config.service_count; i++) {
		check_service(&config.services[i]);
		for (size_t j = 0; j < i; j++)
			MUST(strcmp(config.services[i].name, config.services[j].name) != 0);
	}
	app_config_release(&config);
}

static void load_app_any(struct bytes text)
{
	load_app(text, NULL);
}

static void load_app_production(struct bytes text)
{
	load_app(text, "production");
}

static void load_fleet(struct bytes text)
{
	struct fleet_config config = {0};
	struct err err = ERR_INIT;
	fuzz_scratch_write("file", text);
	if (fleet_config_load(path, &config, &err) < 0) {
		check_refused(&err, path);
		return;
	}
	for (size_t i = 0; i < config.count; i++) {
		MUST(text_is_name(config.hosts[i].name) && strchr(config.hosts[i].address, ':'));
		for (size_t j = 0; j < i; j++) {
			MUST(strcmp(config.hosts[i].name, config.hosts[j].name) != 0);
			MUST(!public_key_equal(&config.hosts[i].key, &config.hosts[j].key));
		}
	}
	fleet_config_release(&config);
}

static void load_policy(struct bytes text)
{
	struct policy policy = {0};
	struct err err = ERR_INIT;
	fuzz_scratch_write("file", text);
	if (policy_load(path, &policy, &err) < 0) {
		check_refused(&err, path);
		return;
	}
	for (size_t i = 0; i < policy.count; i++) {
		const struct policy_signer *signer = &policy.signers[i];
		struct key_id id = public_key_id(&signer->key);
		MUST(text_is_name(signer->name) && signer->roles);
		MUST(signer->apps[0] && signer->environments[0]);
		MUST(policy_find(&policy, &id) == signer);
	}
	policy_release(&policy);
}

static void load_agent(struct bytes text)
{
	struct agent_config config = {0};
	struct err err = ERR_INIT;
	fuzz_scratch_write("file", text);
	if (agent_config_load(path, &config, &err) < 0) {
		check_refused(&err, path);
		return;
	}
	MUST(config.version == 1 && config.listen && config.libexec);
	MUST(config.root[0] == '/' && config.state[0] == '/' && config.trust[0] == '/');
	agent_config_release(&config);
}

static const struct {
	char letter;
	void (*load)(struct bytes text);
} files[] = {{'a', load_app_any}, {'e', load_app_production}, {'f', load_fleet}, {'p', load_policy},
	{'g', load_agent}};

void fuzz_one(struct bytes in)
{
	char letter = (char)fuzz_u8(&in);
	if (!path)
		path = xasprintf("%s/file", fuzz_scratch_path());
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (files[i].letter == letter)
			files[i].load(in);
}

static const char app[] =
	"aversion: 1\napp: shop\nreleases: { keep: 3 }\n"
	"classify:\n  builtin: false\n  rules:\n"
	"    - { match: [\"*.md\", docs/], class: NO_RESTART, services: web }\n"
	"shared:\n  dirs: [logs]\n  files: [.env]\n"
	"services:\n  web:\n    driver: process\n    command: [python3, app.py]\n"
	"    env: { PORT: \"${WEB_PORT}\" }\n    hosts: role=web & zone=a\n"
	"    restart: { policy: always, max_retries: 2, backoff: 2s }\n"
	"    limits: { memory: 512M, open_files: 64 }\n    stop: { signal: INT, timeout: 5s }\n"
	"    health:\n      - http: { url: \"http://127.0.0.1:80/\", status: 200-299 }\n"
	"      - tcp: { port: 80, interval: 1s }\n      - running: { min: 2s }\n"
	"strategy: { unreachable: skip, max_failures: 1, lease: 5m }\n"
	"environments:\n  staging:\n  production:\n    services:\n"
	"      web: { env: { PORT: \"81\" } }\n";
static const char fleet[] =
	"fversion: 1\nhosts:\n  web1:\n    address: 10.0.0.1:7443\n    key: \"ed25519:"
	"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\"\n    labels: {role: web}\n";
static const char policy[] =
	"pversion: 1\nsigners:\n  ci:\n    key: \"ed25519:"
	"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\"\n    roles: [deploy, observe]\n"
	"    apps: [shop]\n    environments: [\"*\"]\n    expires: 2027-01-31T00:00:00Z\n";
static const char agent[] =
	"gversion: 1\nlisten: 127.0.0.1:7443\nroot: /srv/fairlead\nstate: /var/lib/fairlead\n"
	"trust: /etc/fairlead\nlimits: {connections: 64}\nvariables: {REGION: eu}\n";

void fuzz_seeds(void)
{
	AUTO_FREE char *production = xasprintf("e%s", app + 1);
	fuzz_seed("app", BYTES_STR(app));
	fuzz_seed("app-production", BYTES_STR(production));
	fuzz_seed("fleet", BYTES_STR(fleet));
	fuzz_seed("policy", BYTES_STR(policy));
	fuzz_seed("agent", BYTES_STR(agent));
}
