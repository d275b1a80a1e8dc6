/* memory: counts the allocations of the daemons (their own code's, messages of libzmq's, and what SQLite
 * takes by database.c), and lets one fail. Not libuv's: that ends the process by itself when it cannot watch
 * one more descriptor. What the stand-ins need they take elsewhere. */
#include "sim.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

size_t __sanitizer_get_current_allocated_bytes(void); /* GCC brings no header for it */
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_zmq_msg_init_size(zmq_msg_t *message, size_t bytes);
int __wrap_zmq_msg_init_data(zmq_msg_t *message, void *data, size_t bytes, zmq_free_fn *release,
                             void *hint);
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
char *__real_strdup(const char *text);

static uint64_t counted, failing;

void memory_fail_at(uint64_t n)
{
    counted = 0;
    failing = n;
}

uint64_t memory_count(void)
{
    return counted;
}

size_t memory_in_use(void)
{
#ifdef __SANITIZE_ADDRESS__
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

static bool refuses(void)
{
    const struct process *process = fiber_process();
    if (!process || process->dead || ++counted != failing)
        return false;
    sim_note("memory: allocation %llu of %s fails", (unsigned long long)failing, process->name);
    errno = ENOMEM;
    return true;
}

void *sim_alloc(size_t bytes)
{
    void *block = __real_calloc(1, bytes);
    SIM_CHECK(block, "no memory for the simulation");
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return refuses() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return refuses() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes)
{
    return refuses() ? NULL : __real_realloc(block, bytes);
}

char *__wrap_strdup(const char *text)
{
    return refuses() ? NULL : __real_strdup(text);
}

int __wrap_zmq_msg_init_size(zmq_msg_t *message, size_t bytes)
{
    return refuses() ? -1 : zmq_msg_init_size(message, bytes);
}

int __wrap_zmq_msg_init_data(zmq_msg_t *message, void *data, size_t bytes, zmq_free_fn *release,
                             void *hint)
{
    return refuses() ? -1 : zmq_msg_init_data(message, data, bytes, release, hint);
}
