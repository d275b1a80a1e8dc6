/* pass: the order. Exporters' spellings first, then what changes weights, then what needs the rest to
 * be in place. */
#include "passes/pass.h"

int pass_run_all(struct graph *graph, struct error *err)
{
    int rc = pass_expand_constants(graph, err);
    if (!rc)
        rc = pass_drop_noop(graph, err);
    if (!rc)
        rc = pass_fuse_activation(graph, err);
    if (!rc)
        rc = pass_fold_affine(graph, err);
    if (!rc)
        rc = pass_fuse_post(graph, err);
    if (!rc)
        rc = pass_fuse_chain(graph, err);
    return rc;
}
