/* credit: see the header. A mutex is held for a few instructions, twice a frame. */
#include "credit.h"

int credit_init(struct credit *credit)
{
    *credit = (struct credit){ .epoch = 0 };
    int result = uv_mutex_init(&credit->mutex);
    if (result != 0)
        return result;
    result = uv_cond_init(&credit->changed);
    if (result != 0)
        uv_mutex_destroy(&credit->mutex);
    return result;
}

void credit_finish(struct credit *credit)
{
    uv_cond_destroy(&credit->changed);
    uv_mutex_destroy(&credit->mutex);
}

uint32_t credit_start(struct credit *credit, uint32_t count)
{
    uv_mutex_lock(&credit->mutex);
    credit->epoch = ++credit->epoch_last;
    credit->granted = count < CREDITS_MAX ? count : CREDITS_MAX;
    credit->left = credit->granted;
    uint32_t epoch = credit->epoch;
    uv_cond_broadcast(&credit->changed);
    uv_mutex_unlock(&credit->mutex);
    return epoch;
}

void credit_end(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    credit->epoch = 0;
    credit->left = 0;
    uv_mutex_unlock(&credit->mutex);
}

void credit_give(struct credit *credit, uint32_t epoch)
{
    uv_mutex_lock(&credit->mutex);
    if (epoch != 0 && epoch == credit->epoch && credit->left < credit->granted) {
        credit->left++;
        uv_cond_signal(&credit->changed);
    }
    uv_mutex_unlock(&credit->mutex);
}

void credit_close(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    credit->closed = true;
    uv_cond_broadcast(&credit->changed);
    uv_mutex_unlock(&credit->mutex);
}

/* With the mutex held. */
static uint32_t take_locked(struct credit *credit)
{
    if (credit->closed || credit->epoch == 0 || credit->left == 0)
        return 0;
    credit->left--;
    return credit->epoch;
}

uint32_t credit_take(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    uint32_t epoch = take_locked(credit);
    uv_mutex_unlock(&credit->mutex);
    return epoch;
}

uint32_t credit_wait(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    uint32_t epoch;
    while ((epoch = take_locked(credit)) == 0 && !credit->closed)
        uv_cond_wait(&credit->changed, &credit->mutex);
    uv_mutex_unlock(&credit->mutex);
    return epoch;
}

bool credit_wait_session(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    while (credit->epoch == 0 && !credit->closed)
        uv_cond_wait(&credit->changed, &credit->mutex);
    bool up = !credit->closed;
    uv_mutex_unlock(&credit->mutex);
    return up;
}

bool credit_has_session(struct credit *credit)
{
    uv_mutex_lock(&credit->mutex);
    bool up = credit->epoch != 0;
    uv_mutex_unlock(&credit->mutex);
    return up;
}
