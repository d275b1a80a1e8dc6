/* disk: what the daemons write to files: some of it fails, some is short, and what one writes that was killed
 * comes to nothing. Between two calls another thread may go on, or the end may come. What SQLite writes for
 * them comes by database.c. */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct disk_faults disk;

ssize_t __wrap_write(int file, const void *bytes, size_t size);
int __wrap_fdatasync(int file);
int __wrap_fsync(int file);
int __wrap_ftruncate(int file, off_t size);
int __wrap_rename(const char *from, const char *to);
ssize_t __real_write(int file, const void *bytes, size_t size);
int __real_fdatasync(int file);
int __real_fsync(int file);
int __real_ftruncate(int file, off_t size);
int __real_rename(const char *from, const char *to);

bool disk_fails(const char *what, bool wants_room)
{
    const struct process *process = fiber_process();
    if (!process || process->dead)
        return false;
    disk.writes++;
    bool full = wants_room && disk.writes > disk.failing && disk.writes <= disk.failing + disk.full;
    bool due = disk.failing != 0 && (disk.writes == disk.failing || full);
    if (!due && !sim_chance(disk.fails))
        return false;
    sim_note("disk: a %s of %s fails", what, process->name);
    errno = ENOSPC;
    return true;
}

/* The daemons' log goes to the trace. */
ssize_t __wrap_write(int file, const void *bytes, size_t size)
{
    const struct process *process = fiber_process();
    if (file == STDERR_FILENO)
        return sim_log(bytes, size);
    if (!process)
        return __real_write(file, bytes, size);
    fiber_waver();
    if (process->dead)
        return (ssize_t)size;
    if (disk_fails("write", true))
        return -1;
    if (size > 1 && sim_chance(disk.is_short))
        size = (size_t)sim_between(1, size - 1);
    return __real_write(file, bytes, size);
}

int __wrap_fdatasync(int file)
{
    const struct process *process = fiber_process();
    fiber_waver();
    if (process && process->dead)
        return 0;
    if (disk_fails("sync", true))
        return -1;
    int result = __real_fdatasync(file);
    fiber_waver();
    return result;
}

/* Of a folder, or of what was cut at the start. */
int __wrap_fsync(int file)
{
    const struct process *process = fiber_process();
    if (process && process->dead)
        return 0;
    return disk_fails("sync", true) ? -1 : __real_fsync(file);
}

int __wrap_ftruncate(int file, off_t size)
{
    const struct process *process = fiber_process();
    if (process && process->dead)
        return 0;
    return disk_fails("truncation", false) ? -1 : __real_ftruncate(file, size);
}

int __wrap_rename(const char *from, const char *to)
{
    const struct process *process = fiber_process();
    if (process && process->dead)
        return 0;
    return disk_fails("rename", false) ? -1 : __real_rename(from, to);
}
