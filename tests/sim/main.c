/* sim: the deployment machine and the rollout rules in a world that is against them.
 *
 *   sim [--seeds N] [--from N]      plays N seeds; names each that fails, and how to replay it
 *   sim --seed N [--trace]          plays one, and tells what happens
 *
 * Prints its figures as `tally NAME: N`. Exit status 1: an invariant does not hold. */
#include "fleet.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

enum { ENOUGH = 5 }; /* failing seeds */

struct options {
	uint64_t from, count;
	bool trace;
};

static int usage(void)
{
	fprintf(stderr, "usage: sim [--seeds N] [--from N] | sim --seed N [--trace]\n");
	return 2;
}

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end = NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static bool parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"seeds", required_argument, NULL, 'n'},
		{"from", required_argument, NULL, 'f'},
		{"seed", required_argument, NULL, 's'},
		{"trace", no_argument, NULL, 't'},
		{0},
	};
	bool good = true;
	*ret = (struct options){.from = 1, .count = 10000};
	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		if (c == 'n')
			good &= parse_number(optarg, &ret->count);
		else if (c == 'f')
			good &= parse_number(optarg, &ret->from);
		else if (c == 's')
			good &= parse_number(optarg, &ret->from), ret->count = 1;
		else if (c == 't')
			ret->trace = true;
		else
			good = false;
	}
	return good && optind == argc && !(ret->trace && ret->count != 1);
}

/* In memory where there is a file system for it. */
static char *make_directory(void)
{
	char *path = xstrdup("/dev/shm/fairlead-sim-XXXXXX");
	if (mkdtemp(path))
		return path;
	free(path);
	path = xstrdup("/tmp/fairlead-sim-XXXXXX");
	return mkdtemp(path) ? path : NULL;
}

static unsigned play(const struct options *options, const char *program, int dirfd)
{
	uint64_t tallies[TALLY_COUNT] = {0};
	unsigned failed = 0;
	for (uint64_t i = 0; i < options->count && failed < ENOUGH; i++) {
		AUTO_FREE char *problem = NULL;
		uint64_t seed = options->from + i;
		fleet_play(seed, options->trace, dirfd, tallies, &problem);
		if (!problem[0])
			continue;
		failed++;
		printf("seed %llu: %s\n  replay: %s --seed %llu --trace\n",
			(unsigned long long)seed, problem, program, (unsigned long long)seed);
	}
	for (int i = 0; i < TALLY_COUNT; i++)
		printf("tally %s: %llu\n", tally_name((enum tally)i),
			(unsigned long long)tallies[i]);
	return failed;
}

int main(int argc, char **argv)
{
	struct options options;
	if (!parse(argc, argv, &options))
		return usage();
	if (sodium_init() < 0)
		return 1;
	AUTO_FREE char *directory = make_directory();
	AUTO_CLOSE int dirfd = directory ? open_dir(directory, NULL) : -1;
	if (dirfd < 0) {
		fprintf(stderr, "sim: cannot make a directory for the journals\n");
		return 1;
	}
	unsigned failed = play(&options, argv[0], dirfd);
	tree_remove(AT_FDCWD, directory, NULL);
	return failed ? 1 : 0;
}
