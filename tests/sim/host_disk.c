/* What is durable on a simulated host, and the blows that fall while it is written. */
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"
#include "fleet.h"

#include <stdio.h>
#include <sys/stat.h>

#define S(name) FAIRLEAD__V1__STATE__STATE_##name

enum { RESTART_MS = 5000, REBOOT_MS = 120000, ID_SIZE = 16 };

uint64_t host_now(const struct host *host)
{
	return (uint64_t)((int64_t)host->fleet->world.now_ms + host->skew_ms);
}

/* ---- blows ---- */

static void on_start(void *user, uint64_t life)
{
	struct host *host = user;
	if (host->lives == life)
		host_start(host);
}

void host_strike(struct host *host, enum host_blow blow)
{
	struct world *world = &host->fleet->world;
	bool power = blow == HOST_POWER_LOST;
	if (host->life == HOST_DOWN)
		return;
	world_count(world, power ? TALLY_POWER_LOSSES : TALLY_CRASHES);
	world_say(world, "host %zu: %s", host->index, power ? "LOSES POWER" : "THE AGENT DIES");
	journal_close(TAKE(host->journal));
	replay_release(&host->replay);
	host->life = HOST_DOWN;
	host->lives++;
	host->act++;
	host->alarm++;
	host->waiter_count = 0;
	host->work = HOST_FREE;
	host->last = 0;
	host->machine = (struct machine){0};
	if (power && world_chance(world, 500))
		host->current = host->synced;
	if (host->synced != host->current && host->plan.deployment)
		check_switched(
			&host->fleet->check, host->index, host->plan.deployment, host->current);
	host->synced = host->current; /* whatever survived has done so for good */
	host->plan = (struct command){0};
	net_host_died(&host->fleet->net, host->index);
	world_after(world, world_between(world, 100, power ? REBOOT_MS : RESTART_MS), on_start,
		host, host->lives);
}

/* Does the next durable act end here? */
static bool is_struck(struct host *host)
{
	struct fleet *fleet = host->fleet;
	if (!world_chance(&fleet->world, fleet->scenario.crash_permille))
		return false;
	host_strike(host, world_chance(&fleet->world, fleet->scenario.power_permille)
				  ? HOST_POWER_LOST
				  : HOST_KILLED);
	return true;
}

/* The last record is only partly there. */
static void tear(struct host *host, off_t before)
{
	struct stat st;
	AUTO_CLOSE int fd = open_beneath(host->dirfd, "journal", O_RDWR, 0, NULL);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= before)
		return;
	off_t left = (off_t)world_random(&host->fleet->world, (uint64_t)(st.st_size - before));
	if (ftruncate(fd, before + left) < 0)
		world_wrong(&host->fleet->world, "the journal cannot be torn");
}

static off_t size_of_journal(const struct host *host)
{
	struct stat st;
	return fstatat(host->dirfd, "journal", &st, 0) < 0 ? 0 : st.st_size;
}

/* ---- the journal ---- */

static int append(struct host *host, const Fairlead__V1__JournalRecord *record)
{
	struct fleet *fleet = host->fleet;
	struct err err = ERR_INIT;
	off_t before = size_of_journal(host);
	if (is_struck(host))
		return -1;
	if (journal_append(host->journal, record, &err) < 0) {
		world_wrong(&fleet->world, "host %zu: %s", host->index, err.message);
		return -1;
	}
	if (world_chance(&fleet->world, fleet->scenario.crash_permille / 2)) {
		host_strike(host, HOST_POWER_LOST);
		tear(host, before);
		return -1;
	}
	return 0;
}

static void fill(
	const struct host *host, Fairlead__V1__JournalRecord *record, uint8_t id[static ID_SIZE])
{
	put_u64(id, host->plan.deployment);
	memset(id + 8, 0, ID_SIZE - 8);
	record->unix_ms = host_now(host);
	record->deployment_id = pb_borrow(id, ID_SIZE);
	record->state = host->machine.state;
}

int host_note(struct host *host, const char *step)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	uint8_t id[ID_SIZE];
	fill(host, &record, id);
	record.step = pb_str(step);
	return append(host, &record) < 0 || is_struck(host) ? -1 : 0;
}

int host_journal(struct host *host, enum machine_event event, uint64_t sequence)
{
	Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
	Fairlead__V1__Accepted accepted = FAIRLEAD__V1__ACCEPTED__INIT;
	uint8_t id[ID_SIZE];
	char step[32];
	fill(host, &record, id);
	record.deadline_unix_ms = host->machine.deadline_unix_ms;
	record.sequence = sequence;
	snprintf(step, sizeof(step), "AT %u", host->machine.step);
	record.step = step;
	struct digest digest = command_digest(&host->plan);
	accepted.command_digest = pb_borrow(digest.bytes, DIGEST_SIZE);
	if (host->machine.state == S(ACCEPTED))
		record.accepted = &accepted;
	if (append(host, &record) < 0)
		return -1;
	check_journalled(&host->fleet->check, host->index, host->plan.deployment, &host->machine,
		event, sequence);
	return is_struck(host) ? -1 : 0;
}

/* ---- current ---- */

int host_switch(struct host *host, unsigned release)
{
	struct fleet *fleet = host->fleet;
	if (is_struck(host))
		return -1;
	check_switching(&fleet->check, host->index, host->plan.deployment, release);
	world_say(&fleet->world, "host %zu: current -> release %u", host->index, release);
	host->current = release;
	if (is_struck(host))
		return -1;
	host->synced = release;
	check_switched(&fleet->check, host->index, host->plan.deployment, release);
	return is_struck(host) ? -1 : 0;
}
