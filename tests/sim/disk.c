/* disk: what the daemons write to files: some of it fails, some is short, and what one writes that was killed
 * comes to nothing. Between two calls another thread may go on, or the end may come. */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct disk_faults disk;

ssize_t __wrap_write(int file, const void *bytes, size_t size);
int __wrap_fdatasync(int file);
int __wrap_ftruncate(int file, off_t size);
int __wrap_rename(const char *from, const char *to);
ssize_t __real_write(int file, const void *bytes, size_t size);
int __real_fdatasync(int file);
int __real_ftruncate(int file, off_t size);
int __real_rename(const char *from, const char *to);

/* Gives whether the call is to fail. */
static bool fails(const struct process *process, const char *what)
{
    if (++disk.writes != disk.failing && !sim_chance(disk.fails))
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
    if (fails(process, "write"))
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
    if (process && fails(process, "sync"))
        return -1;
    int result = __real_fdatasync(file);
    fiber_waver();
    return result;
}

int __wrap_ftruncate(int file, off_t size)
{
    const struct process *process = fiber_process();
    return process && process->dead ? 0 : __real_ftruncate(file, size);
}

int __wrap_rename(const char *from, const char *to)
{
    const struct process *process = fiber_process();
    return process && process->dead ? 0 : __real_rename(from, to);
}
