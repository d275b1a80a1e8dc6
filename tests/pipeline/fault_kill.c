/* fault_kill: loaded before a daemon (LD_PRELOAD), kills it by SIGKILL at a certain call into the kernel.
 * FAULT_POINT is CALL:N:WHERE: the N-th write (to a file), pwrite, sync or send of the process;
 * before it, after it, or, of a write, in the half of it. */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum call { CALL_WRITE, CALL_PWRITE, CALL_SYNC, CALL_SEND, CALL_COUNT };
enum where { NOT_HERE, BEFORE, HALF, AFTER };

static const char *const words[] = { "write", "pwrite", "sync", "send" };
static atomic_ulong counts[CALL_COUNT];
static int point_call = -1;
static unsigned long point_number;
static enum where point_where;

static void __attribute__((constructor)) read_point(void)
{
    char call[16], where[16];
    const char *point = getenv("FAULT_POINT");
    if (!point || sscanf(point, "%15[^:]:%lu:%15s", call, &point_number, where) != 3)
        return;
    for (int i = 0; i < CALL_COUNT; i++)
        if (strcmp(call, words[i]) == 0)
            point_call = i;
    point_where = strcmp(where, "before") == 0 ? BEFORE : strcmp(where, "half") == 0 ? HALF : AFTER;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    pause();
}

/* Where in this call the process dies. Before it: here. */
static enum where enter(enum call call)
{
    bool here = atomic_fetch_add(&counts[call], 1) + 1 == point_number && (int)call == point_call;
    if (here && point_where == BEFORE)
        die();
    return here ? point_where : NOT_HERE;
}

static void leave(enum where where)
{
    if (where != NOT_HERE)
        die();
}

/* The function that stands behind ours. */
#define NEXT(name)                 \
    static __typeof__(name) *next; \
    if (!next)                     \
    *(void **)&next = dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *bytes, size_t size)
{
    struct stat status;
    NEXT(write);
    /* Of the log, which comes with the standard output, nobody keeps account. */
    bool counted = file > STDERR_FILENO && fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    enum where where = counted ? enter(CALL_WRITE) : NOT_HERE;
    ssize_t result = next(file, bytes, where == HALF ? (size + 1) / 2 : size);
    leave(where);
    return result;
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off_t at)
{
    NEXT(pwrite64);
    enum where where = enter(CALL_PWRITE);
    ssize_t result = next(file, bytes, where == HALF ? (size + 1) / 2 : size, at);
    leave(where);
    return result;
}

int fdatasync(int file)
{
    NEXT(fdatasync);
    enum where where = enter(CALL_SYNC);
    int result = next(file);
    leave(where);
    return result;
}

int fsync(int file)
{
    NEXT(fsync);
    enum where where = enter(CALL_SYNC);
    int result = next(file);
    leave(where);
    return result;
}

ssize_t send(int socket, const void *bytes, size_t size, int flags)
{
    NEXT(send);
    enum where where = enter(CALL_SEND);
    ssize_t result = next(socket, bytes, where == HALF ? (size + 1) / 2 : size, flags);
    leave(where);
    return result;
}
