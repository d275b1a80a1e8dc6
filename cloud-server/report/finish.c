/* finish: see the header. */
#include "report/finish.h"
#include "base/clock.h"
#include "base/log.h"
#include <time.h>

bool writer_finish(pthread_t thread, const char *module)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until); /* the only clock that this join knows */
    until.tv_nsec += WRITER_FINISH_MS * (long)CLOCK_NS_PER_MS;
    until.tv_sec += until.tv_nsec / (long)CLOCK_NS_PER_S;
    until.tv_nsec %= (long)CLOCK_NS_PER_S;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return true;
    log_error(module, "the disk does not take the rest in time, it is lost");
    return false;
}
