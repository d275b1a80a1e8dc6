/* iterate: sorts dimensions by the first view's steps and joins neighbours. */
#include "cuda/iterate.h"
#include <stdlib.h>

static bool joins(struct view *const *views, int count, int outer, int inner);
static void swap_dims(struct view *view, int a, int b);
static void drop_dim(struct view *view, int d);

void iterate_join(struct view *const *views, int count)
{
    struct view *first = views[0];
    for (int d = first->rank - 1; d >= 0; d--)
        if (first->dim[d] == 1)
            for (int v = 0; v < count; v++)
                drop_dim(views[v], d);
    /* Largest step first; a repeated dimension stays behind the others it stood behind. */
    for (int d = 1; d < first->rank; d++)
        for (int at = d; at > 0 && llabs(first->step[at - 1]) < llabs(first->step[at]); at--)
            for (int v = 0; v < count; v++)
                swap_dims(views[v], at - 1, at);
    for (int d = first->rank - 1; d > 0; d--) {
        if (!joins(views, count, d - 1, d))
            continue;
        for (int v = 0; v < count; v++) {
            views[v]->dim[d] *= views[v]->dim[d - 1];
            drop_dim(views[v], d - 1);
        }
    }
}

static bool joins(struct view *const *views, int count, int outer, int inner)
{
    for (int v = 0; v < count; v++)
        if (views[v]->step[outer] != views[v]->step[inner] * views[v]->dim[inner])
            return false;
    return true;
}

static void swap_dims(struct view *view, int a, int b)
{
    int32_t dim = view->dim[a];
    int64_t step = view->step[a];
    view->dim[a] = view->dim[b];
    view->step[a] = view->step[b];
    view->dim[b] = dim;
    view->step[b] = step;
}

static void drop_dim(struct view *view, int d)
{
    view->rank--;
    for (int i = d; i < view->rank; i++) {
        view->dim[i] = view->dim[i + 1];
        view->step[i] = view->step[i + 1];
    }
}
