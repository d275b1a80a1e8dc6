/* sim: the program behind `make sim`.
 *
 *   sim [--histories N] [--first SEED] [--jobs N]     many histories
 *   sim --allocations [--jobs N]                      each allocation of a short one fails in turn
 *   sim --seed N | --allocation N                     one of them again, with its trace */
#include "sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void usage(void)
{
    fprintf(stderr, "usage: sim [--histories N] [--first SEED] [--jobs N] | --allocations | "
                    "--seed N | --allocation N\n");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "histories", required_argument, NULL, 'n' }, { "first", required_argument, NULL, 'f' },
        { "jobs", required_argument, NULL, 'j' },      { "allocations", no_argument, NULL, 'A' },
        { "seed", required_argument, NULL, 's' },      { "allocation", required_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
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
            job.memory = true;
            job.count = sim_count_allocations();
            break;
        case 's':
        case 'a':
            sim_replay(value, option == 'a');
            return EXIT_SUCCESS;
        default:
            usage();
        }
    }
    if (optind < argc || job.processes == 0)
        usage();
    struct sim_sum sum = sim_run(&job);
    printf("sim: %s=%llu failed=%llu events=%llu\n", job.memory ? "allocations" : "histories",
           (unsigned long long)sum.histories, (unsigned long long)sum.failed,
           (unsigned long long)sum.events);
    return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
