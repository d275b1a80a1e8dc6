/* doctor_host: the doctor's checks of clock and disk, which both daemons need. */
#include "base/doctor.h"

#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define CLOCK_MS 5000u /* deadlines */
#define DISK_MS 10000u
#define CLOCK_WAIT_NS (50u * CLOCK_NS_PER_MS)
#define WALL_MIN_US 1735689600000000u /* 2025: this program is younger */
#define WALL_MAX_US 4102444800000000u /* 2100 */
#define TRIAL_BYTES 65536u
#define FREE_MIN_BYTES (1024ull << 20)

/* ---- clock ---- */

void doctor_judge_clock(uint64_t wall_us, uint64_t gone_ns, uint64_t wanted_ns, bool synchronised,
                        struct doctor_finding *finding)
{
    char now[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(wall_us, now);
    if (gone_ns < wanted_ns) {
        doctor_found(finding, DOCTOR_FAIL, "the monotonic clock went %llu us in %llu us",
                     (unsigned long long)gone_ns / 1000, (unsigned long long)wanted_ns / 1000);
        doctor_advise(finding, "this kernel or virtual machine is broken: ages and rates need it");
    } else if (wall_us < WALL_MIN_US || wall_us > WALL_MAX_US) {
        doctor_found(finding, DOCTOR_FAIL, "the wall clock says %s", now);
        doctor_advise(finding,
                      "set it (timedatectl set-ntp true): answers would carry wrong times");
    } else if (!synchronised) {
        doctor_found(finding, DOCTOR_WARN, "the wall clock says %s, and nothing keeps it right", now);
        doctor_advise(finding, "timedatectl set-ntp true, or chrony; ages do not depend on it, the "
                               "times in answers do");
    } else {
        doctor_found(finding, DOCTOR_OK, "%s, synchronised", now);
    }
}

static void try_clock(const void *arg, struct doctor_finding *finding)
{
    struct timex state = { .modes = 0 };
    uint64_t begin_ns = clock_now_ns();
    (void)arg;
    clock_sleep_until_ns(begin_ns + CLOCK_WAIT_NS);
    int answer = adjtimex(&state);
    doctor_judge_clock(clock_wall_us(), clock_now_ns() - begin_ns, CLOCK_WAIT_NS,
                       answer != -1 && answer != TIME_ERROR && !(state.status & STA_UNSYNC), finding);
}

void doctor_check_clock(struct doctor *doctor)
{
    doctor_check(doctor, "clock", CLOCK_MS, try_clock, NULL, NULL);
}

/* ---- disk ---- */

/* A file without a name takes some bytes and brings them to the disk. 0 or errno. */
static int try_to_write(const char *folder)
{
    static const char bytes[TRIAL_BYTES];
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/.doctor-XXXXXX", folder) >= (int)sizeof path)
        return ENAMETOOLONG;
    int fd = mkstemp(path);
    if (fd < 0)
        return errno;
    unlink(path);
    int cause = 0;
    for (size_t done = 0; done < sizeof bytes && cause == 0;) {
        ssize_t count = write(fd, bytes + done, sizeof bytes - done);
        if (count < 0 && errno != EINTR)
            cause = errno;
        done += count > 0 ? (size_t)count : 0;
    }
    if (cause == 0 && fsync(fd) != 0)
        cause = errno;
    close(fd);
    return cause;
}

static void advise_disk(int cause, const char *folder, struct doctor_finding *finding)
{
    struct stat there;
    if (cause == ENOENT && stat(folder, &there) != 0)
        doctor_advise(finding, "mkdir -p %s, for the user that the daemon runs as", folder);
    else if (cause == ENOSPC || cause == EDQUOT)
        doctor_advise(finding, "free some room there, or choose another disk");
    else if (cause == EROFS)
        doctor_advise(finding,
                      "it is mounted read-only: choose another folder, or look in dmesg why");
    else
        doctor_advise(finding,
                      "give it to the user that the daemon runs as (chown), or choose another");
}

static void try_folder(const void *arg, struct doctor_finding *finding)
{
    const char *folder = arg;
    struct statvfs disk;
    int cause = try_to_write(folder);
    if (cause == 0 && statvfs(folder, &disk) != 0)
        cause = errno;
    if (cause != 0) {
        doctor_found(finding, DOCTOR_FAIL, "%s: cannot be written: %s", folder, strerror(cause));
        advise_disk(cause, folder, finding);
        return;
    }
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    bool little = free_bytes < FREE_MIN_BYTES;
    doctor_found(finding, little ? DOCTOR_WARN : DOCTOR_OK, "%s: can be written, %llu MiB free",
                 folder, (unsigned long long)(free_bytes >> 20));
    if (little)
        doctor_advise(finding, "free some room there: it will be full soon");
}

static void try_file(const void *arg, struct doctor_finding *finding)
{
    const char *path = arg;
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    struct stat there;
    bool exists = stat(path, &there) == 0;
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash > path ? (int)(slash - path) : 1, path);
    if (!exists || S_ISREG(there.st_mode))
        try_folder(folder, finding);
    /* Not blocking: a pipe without a reader must not stop the check. */
    int fd = exists ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK) : -1;
    if (exists && fd < 0) {
        int cause = errno;
        doctor_found(finding, DOCTOR_FAIL, "%s: cannot be written: %s", path, strerror(cause));
        advise_disk(cause, path, finding);
    } else if (exists && !S_ISREG(there.st_mode)) {
        doctor_found(finding, DOCTOR_OK, "%s: can be written", path);
    }
    if (fd >= 0)
        close(fd);
}

void doctor_check_file(struct doctor *doctor, const char *name, const char *path)
{
    doctor_check(doctor, name, DISK_MS, try_file, path, NULL);
}

void doctor_check_folder(struct doctor *doctor, const char *name, const char *path)
{
    doctor_check(doctor, name, DISK_MS, try_folder, path, NULL);
}
