/* sim: the program behind `make sim`.
 *
 *   sim [--histories N] [--first SEED] [--jobs N]     many histories
 *   sim --allocations | --writes [--jobs N]           each of a short one fails, one after the other
 *   sim --spool-allocations | --spool-writes …        the same of one with a lossless stream
 *   sim --spool-disks [--jobs N]                      … the disk is full from each write on, for a while
 *   sim --seed N | --allocation N | --write N | …     one of them again, with its trace
 *   sim --hour SEED                                   a camera away for an hour, with its trace */
#include "sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EACH 0x100  /* and the kind: all that a short history has */
#define AGAIN 0x200 /* and the kind: one */

static void usage(void)
{
    fprintf(stderr,
            "usage: sim [--histories N] [--first SEED] [--jobs N] | --allocations | --writes | "
            "--spool-allocations | --spool-writes | --spool-disks | --seed N | --allocation N | "
            "--write N | --spool-allocation N | --spool-write N | --spool-disk N | --hour SEED\n");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "histories", required_argument, NULL, 'n' },
        { "first", required_argument, NULL, 'f' },
        { "jobs", required_argument, NULL, 'j' },
        { "allocations", no_argument, NULL, EACH + SIM_ALLOCATIONS },
        { "writes", no_argument, NULL, EACH + SIM_WRITES },
        { "spool-allocations", no_argument, NULL, EACH + SIM_SPOOL_ALLOCATIONS },
        { "spool-writes", no_argument, NULL, EACH + SIM_SPOOL_WRITES },
        { "spool-disks", no_argument, NULL, EACH + SIM_SPOOL_DISKS },
        { "seed", required_argument, NULL, AGAIN + SIM_HISTORIES },
        { "allocation", required_argument, NULL, AGAIN + SIM_ALLOCATIONS },
        { "write", required_argument, NULL, AGAIN + SIM_WRITES },
        { "spool-allocation", required_argument, NULL, AGAIN + SIM_SPOOL_ALLOCATIONS },
        { "spool-write", required_argument, NULL, AGAIN + SIM_SPOOL_WRITES },
        { "spool-disk", required_argument, NULL, AGAIN + SIM_SPOOL_DISKS },
        { "hour", required_argument, NULL, AGAIN + SIM_HOURS },
        { NULL, 0, NULL, 0 },
    };
    struct sim_job job = { .first = 1, .count = 10000, .step = 1, .progress = true };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    job.processes = processors > 1 ? (unsigned)processors : 1;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;
        if (option == 'n') {
            job.count = value;
        } else if (option == 'f') {
            job.first = value;
        } else if (option == 'j') {
            job.processes = (unsigned)value;
        } else if (option & AGAIN) {
            return sim_replay((enum sim_kind)(option - AGAIN), value) ? EXIT_SUCCESS : EXIT_FAILURE;
        } else if (option & EACH) {
            job.kind = (enum sim_kind)(option - EACH);
            job.count = sim_count(job.kind);
        } else {
            usage();
        }
    }
    if (optind < argc || job.processes == 0)
        usage();
    struct sim_sum sum = sim_run(&job);
    static const char *const words[] = { "histories",         "allocations",  "writes",
                                         "spool_allocations", "spool_writes", "spool_disks" };
    printf("sim: %s=%llu failed=%llu events=%llu\n", words[job.kind],
           (unsigned long long)sum.histories, (unsigned long long)sum.failed,
           (unsigned long long)sum.events);
    return sum.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
