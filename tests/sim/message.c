#include "message.h"

struct digest command_digest(const struct command *command)
{
	const uint64_t facts[] = {
		command->deployment,
		command->sequence,
		command->not_before_unix_ms,
		command->expires_unix_ms,
		command->from,
		command->to,
		(uint64_t)command->service,
	};
	return digest_of(facts, sizeof(facts));
}
