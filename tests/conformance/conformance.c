/* conformance: runs folders of ONNX's back-end test cases, each case in a process of its own, so that one
 * that crashes or hangs is counted and stops nothing.
 *
 *     conformance [-r REPORT] [-s SECONDS] [-o] FOLDER...
 *
 * FOLDER is a case, or holds cases. REPORT gets a line for each case that has not passed: name, verdict,
 * reason. -o prints how the ops fared. Last line: passed=… refused=… wrong=… crashed=…
 * It ends with 1 if a case was wrong or crashed. */
#include "case.h"
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 30u
#define PATH_BYTES 4096
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHILD_BYTES_MAX RLIM_INFINITY /* sanitizers map many */
#else
#define CHILD_BYTES_MAX ((rlim_t)8 << 30) /* of addresses */
#endif
#define OPS_MAX 1024

/* Of one op, or of the nodes that a verdict names. */
struct tally {
    char op[sizeof((struct outcome *)NULL)->op];
    unsigned count[VERDICT_COUNT];
};

struct bench {
    FILE *report; /* or NULL */
    unsigned seconds;
    struct outcome *shared; /* with the child */
    struct tally total, ops[OPS_MAX];
    size_t op_count;
};

static int run_folder(struct bench *bench, const char *folder);
static int run_case(struct bench *bench, const char *folder);
static void run_child(const struct bench *bench, const char *folder);
static void judge_child(const struct bench *bench, int status);
static void count(struct bench *bench, const struct outcome *outcome);
static void print_ops(struct bench *bench);
static int by_name(const void *a, const void *b);
static bool is_case(const char *folder);

int main(int argc, char **argv)
{
    static struct bench bench = { .seconds = SECONDS };
    bool ops = false;
    int option;
    while ((option = getopt(argc, argv, "r:s:o")) != -1) {
        if (option == 'r' && !(bench.report = fopen(optarg, "w"))) {
            fprintf(stderr, "conformance: %s: %s\n", optarg, strerror(errno));
            return 2;
        }
        if (option == 's')
            bench.seconds = (unsigned)strtoul(optarg, NULL, 10);
        ops |= option == 'o';
        if (option == '?')
            optind = argc;
    }
    if (optind == argc) {
        fprintf(stderr, "usage: %s [-r REPORT] [-s SECONDS] [-o] FOLDER...\n", argv[0]);
        return 2;
    }
    bench.shared =
        mmap(NULL, sizeof *bench.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc = bench.shared == MAP_FAILED ? -1 : 0;
    for (int i = optind; rc == 0 && i < argc; i++)
        rc = run_folder(&bench, argv[i]);
    if (bench.report && fclose(bench.report))
        rc = -1;
    if (rc) {
        fprintf(stderr, "conformance: failed: %s\n", strerror(errno));
        return 2;
    }
    if (ops)
        print_ops(&bench);
    const unsigned *total = bench.total.count;
    printf("passed=%u refused=%u wrong=%u crashed=%u\n", total[VERDICT_PASSED],
           total[VERDICT_REFUSED], total[VERDICT_WRONG], total[VERDICT_CRASHED]);
    return total[VERDICT_WRONG] + total[VERDICT_CRASHED] > 0;
}

static int run_folder(struct bench *bench, const char *folder)
{
    struct dirent **entries = NULL;
    if (is_case(folder))
        return run_case(bench, folder);
    int number = scandir(folder, &entries, NULL, alphasort), rc = number < 0 ? -1 : 0;
    for (int i = 0; i < number; i++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (rc == 0 && entries[i]->d_name[0] != '.' && is_case(path))
            rc = run_case(bench, path);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

static int run_case(struct bench *bench, const char *folder)
{
    int status;
    *bench->shared = (struct outcome){ .verdict = VERDICT_CRASHED };
    if (bench->report)
        fflush(bench->report); /* or the child would have a part of it too */
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0)
        run_child(bench, folder);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    judge_child(bench, status);
    count(bench, bench->shared);
    const char *slash = strrchr(folder, '/');
    if (bench->report && bench->shared->verdict != VERDICT_PASSED)
        fprintf(bench->report, "%s %s %s\n", slash ? slash + 1 : folder,
                verdict_words[bench->shared->verdict], bench->shared->reason);
    return 0;
}

static void run_child(const struct bench *bench, const char *folder)
{
    const struct rlimit bytes = { CHILD_BYTES_MAX, CHILD_BYTES_MAX }, core = { 0, 0 };
    setrlimit(RLIMIT_AS, &bytes);
    setrlimit(RLIMIT_CORE, &core);
    alarm(bench->seconds);
    case_run(folder, bench->shared);
    _exit(0);
}

static void judge_child(const struct bench *bench, int status)
{
    struct outcome *outcome = bench->shared;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && outcome->verdict != VERDICT_CRASHED)
        return;
    outcome->verdict = VERDICT_CRASHED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(outcome->reason, sizeof outcome->reason, "took longer than %u s", bench->seconds);
    else if (WIFSIGNALED(status))
        snprintf(outcome->reason, sizeof outcome->reason, "%s", strsignal(WTERMSIG(status)));
    else
        snprintf(outcome->reason, sizeof outcome->reason, "ended with status %d",
                 WEXITSTATUS(status));
}

static void count(struct bench *bench, const struct outcome *outcome)
{
    size_t i = 0;
    bench->total.count[outcome->verdict]++;
    while (i < bench->op_count && strcmp(bench->ops[i].op, outcome->op) != 0)
        i++;
    if (i == OPS_MAX)
        return;
    if (i == bench->op_count)
        memcpy(bench->ops[bench->op_count++].op, outcome->op, sizeof outcome->op);
    bench->ops[i].count[outcome->verdict]++;
}

static void print_ops(struct bench *bench)
{
    qsort(bench->ops, bench->op_count, sizeof *bench->ops, by_name);
    printf("%-28s", "op");
    for (int v = 0; v < VERDICT_COUNT; v++)
        printf(" %7s", verdict_words[v]);
    printf("\n");
    for (size_t i = 0; i < bench->op_count; i++) {
        printf("%-28s", bench->ops[i].op);
        for (int v = 0; v < VERDICT_COUNT; v++)
            printf(" %7u", bench->ops[i].count[v]);
        printf("\n");
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tally *)a)->op, ((const struct tally *)b)->op);
}

static bool is_case(const char *folder)
{
    char path[PATH_BYTES + sizeof "/model.onnx"];
    struct stat status;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}
