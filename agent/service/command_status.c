#include "agent/service/command_status.h"

#include "agent/service/script_call.h"
#include "common/base/mem.h"
#include "common/os/process.h"

enum { LSB_RUNNING = 0, LSB_DEAD_PID_FILE = 1, LSB_DEAD_LOCK_FILE = 2, LSB_STOPPED = 3 };

static const struct {
	int status;
	enum command_state state;
	const char *words;
} meanings[] = {
	{LSB_RUNNING, COMMAND_RUNNING, ""},
	{LSB_DEAD_PID_FILE, COMMAND_DEAD, "it is dead, but its pid file is there"},
	{LSB_DEAD_LOCK_FILE, COMMAND_DEAD, "it is dead, but its lock file is there"},
	{LSB_STOPPED, COMMAND_STOPPED, ""},
};

static pid_t pid_of_line(const char *line, size_t len)
{
	static const char key[] = "pid=";
	size_t at = strlen(key);
	if (len <= at || len > at + 9 || strncmp(line, key, at) != 0)
		return 0;
	pid_t pid = 0;
	for (; at < len && line[at] >= '0' && line[at] <= '9'; at++)
		pid = 10 * pid + (line[at] - '0');
	return at == len ? pid : 0;
}

pid_t command_status_pid(const char *text, size_t len)
{
	pid_t found = 0;
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;
		pid_t pid = pid_of_line(text, line);
		found = pid ? pid : found;
		line += end != NULL;
		text += line;
		len -= line;
	}
	return found;
}

int command_status_read(
	const Fairlead__V1__ScriptEnd *end, struct command_status *ret, struct err *err)
{
	size_t i = end->timed_out || end->signal ? ARRAY_LEN(meanings) : 0;
	while (i < ARRAY_LEN(meanings) && meanings[i].status != end->status)
		i++;
	if (i == ARRAY_LEN(meanings))
		return script_failed(SCRIPT_STATUS, end, err);
	*ret = (struct command_status){.state = meanings[i].state, .words = meanings[i].words};
	if (ret->state != COMMAND_RUNNING)
		return 0;
	struct process process;
	ret->pid = command_status_pid((const char *)end->output.data, end->output.len);
	if (ret->pid && process_read(ret->pid, &process, NULL) < 0) {
		ret->state = COMMAND_DEAD;
		ret->words = "its status script names a process that is not there";
	}
	return 0;
}
