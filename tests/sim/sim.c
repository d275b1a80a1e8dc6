/* sim: the program behind `make sim`.
 *
 *   sim [--histories N] [--first SEED] [--jobs N]     many histories
 *   sim --allocations | --writes [--jobs N]           each of a short one fails, one after the other
 *   sim --seed N | --allocation N | --write N         one of them again, with its trace
 *   sim --hour SEED                                   a camera away for an hour, with its trace */
#include "sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void usage(void)
{
    fprintf(stderr,
            "usage: sim [--histories N] [--first SEED] [--jobs N] | --allocations | --writes | "
            "--seed N | --allocation N | --write N | --hour SEED\n");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "histories", required_argument, NULL, 'n' },  { "first", required_argument, NULL, 'f' },
        { "jobs", required_argument, NULL, 'j' },       { "allocations", no_argument, NULL, 'A' },
        { "writes", no_argument, NULL, 'W' },           { "seed", required_argument, NULL, 's' },
        { "allocation", required_argument, NULL, 'a' }, { "write", required_argument, NULL, 'w' },
        { "hour", required_argument, NULL, 'h' },       { NULL, 0, NULL, 0 },
    };
    struct sim_job job = { .first = 1, .count = 10000, .step = 1, .progress = true };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    job.processes = processors > 1 ? (unsigned)processors : 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;
        switch (option) {
        case 'n':
            job.count = value;
            break;
        case 'f':
            job.first = value;
            break;
        case 'j':
            job.processes = (unsigned)value;
            break;
        case 'A':
        case 'W':
            job.kind = option == 'A' ? SIM_ALLOCATIONS : SIM_WRITES;
            job.count = sim_count(job.kind);
            break;
        case 's':
        case 'a':
        case 'w':
        case 'h':
            return sim_replay(option == 's'   ? SIM_HISTORIES
                              : option == 'a' ? SIM_ALLOCATIONS
                              : option == 'w' ? SIM_WRITES
                                              : SIM_HOURS,
                              value)
                       ? EXIT_SUCCESS
                       : EXIT_FAILURE;
        default:
            usage();
        }
    }
    if (optind < argc || job.processes == 0)
        usage();
    struct sim_sum sum = sim_run(&job);
    static const char *const words[] = { "histories", "allocations", "writes" };
    printf("sim: %s=%llu failed=%llu events=%llu\n", words[job.kind],
           (unsigned long long)sum.histories, (unsigned long long)sum.failed,
           (unsigned long long)sum.events);
    return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
