/* doctor: see the header. What a check found comes back through a pipe, in one piece. */
#include "base/doctor.h"

#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_MS 500u /* for one that was killed to be gone; it may hang in the kernel */
#define LOOK_MS 10u

_Static_assert(sizeof(struct doctor_finding) <= PIPE_BUF, "comes through the pipe in one piece");

void doctor_found(struct doctor_finding *finding, enum doctor_verdict verdict, const char *format, ...)
{
    va_list args;
    finding->verdict = verdict;
    va_start(args, format);
    vsnprintf(finding->found, sizeof finding->found, format, args);
    va_end(args);
}

void doctor_advise(struct doctor_finding *finding, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(finding->advice, sizeof finding->advice, format, args);
    va_end(args);
}

/* What cameras and servers say may hold anything. */
static void print_text(const char *text, FILE *out)
{
    char shown[DOCTOR_TEXT_BYTES];
    log_redact(text, shown, sizeof shown);
    for (char *at = shown; *at; at++)
        fputc((unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at, out);
}

void doctor_tell(struct doctor *doctor, const char *name, const struct doctor_finding *finding)
{
    static const char *const words[] = { "OK", "WARN", "FAIL" };
    fprintf(doctor->out, "%-4s  %-16s  ", words[finding->verdict], name);
    print_text(finding->found, doctor->out);
    if (finding->advice[0]) {
        fputs("; next: ", doctor->out);
        print_text(finding->advice, doctor->out);
    }
    fputc('\n', doctor->out);
    fflush(doctor->out);
    doctor->counts[finding->verdict]++;
}

/* The other process: never comes back. */
static void try_check(doctor_check_fn *check, const void *arg, int pipe_end)
{
    struct doctor_finding finding = { .verdict = DOCTOR_OK };
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nowhere >= 0)
        dup2(nowhere, STDERR_FILENO);
    check(arg, &finding);
    ssize_t written = write(pipe_end, &finding, sizeof finding);
    _exit(written == (ssize_t)sizeof finding ? 0 : 1);
}

/* Waits for what comes through the pipe. False: nothing whole has come by then. */
static bool read_finding(int pipe_end, uint64_t until_ns, struct doctor_finding *finding)
{
    struct pollfd watched = { .fd = pipe_end, .events = POLLIN };
    for (uint64_t now_ns = clock_now_ns(); now_ns < until_ns; now_ns = clock_now_ns()) {
        int ready = poll(&watched, 1, (int)((until_ns - now_ns) / CLOCK_NS_PER_MS) + 1);
        if (ready > 0)
            return read(pipe_end, finding, sizeof *finding) == (ssize_t)sizeof *finding;
        if (ready < 0 && errno != EINTR)
            return false;
    }
    return false;
}

/* Kills it where it still runs, and gives its status; -1 when it hangs where nothing reaches it. */
static int end_process(pid_t pid)
{
    uint64_t until_ns = clock_now_ns() + KILLED_MS * CLOCK_NS_PER_MS;
    int status;
    kill(pid, SIGKILL); /* one that has ended by itself stays as it ended */
    do {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        clock_sleep_until_ns(clock_now_ns() + LOOK_MS * CLOCK_NS_PER_MS);
    } while (clock_now_ns() < until_ns);
    return -1;
}

static void run_check(uint32_t deadline_ms, doctor_check_fn *check, const void *arg,
                      struct doctor_finding *finding)
{
    int ends[2];
    *finding = (struct doctor_finding){ .verdict = DOCTOR_FAIL };
    if (pipe2(ends, O_CLOEXEC) != 0) {
        doctor_found(finding, DOCTOR_FAIL, "cannot be tried: %s", strerror(errno));
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        try_check(check, arg, ends[1]);
    int cause = errno;
    close(ends[1]);
    uint64_t until_ns = clock_now_ns() + deadline_ms * CLOCK_NS_PER_MS;
    bool whole = pid > 0 && read_finding(ends[0], until_ns, finding);
    close(ends[0]);
    int status = pid > 0 ? end_process(pid) : 0;
    if (pid < 0)
        doctor_found(finding, DOCTOR_FAIL, "cannot be tried: %s", strerror(cause));
    else if (!whole && clock_now_ns() >= until_ns)
        doctor_found(finding, DOCTOR_FAIL, "hangs: no result within %u s", deadline_ms / 1000);
    else if (!whole && status != -1 && WIFSIGNALED(status))
        doctor_found(finding, DOCTOR_FAIL, "the check itself was ended by signal %d (%s)",
                     WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!whole)
        doctor_found(finding, DOCTOR_FAIL, "the check itself has ended without a result");
}

void doctor_check(struct doctor *doctor, const char *name, uint32_t deadline_ms,
                  doctor_check_fn *check, const void *arg, struct doctor_finding *finding)
{
    struct doctor_finding own;
    run_check(deadline_ms, check, arg, &own);
    doctor_tell(doctor, name, &own);
    if (finding)
        *finding = own;
}

int doctor_end(struct doctor *doctor)
{
    fprintf(doctor->out, "doctor: ok=%u warn=%u fail=%u\n", doctor->counts[DOCTOR_OK],
            doctor->counts[DOCTOR_WARN], doctor->counts[DOCTOR_FAIL]);
    return doctor->counts[DOCTOR_FAIL] > 0 ? 1 : 0;
}
