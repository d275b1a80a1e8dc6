/* Proves that training is right as a whole: ten steps (ten_steps_check.h) with Adam and clipping and with SGD
 * on the cpu device, and on the interpreter. The double-precision run of our own graph must agree with
 * PyTorch's in doubles as far as attributes are the same (they are floats here). */
#include "cpu_device.h"
#include "lab/double.h"
#include "ten_steps_check.h"

/* Rates, decays and epsilons are floats here and doubles there: 1 - 0.9f is 0.1 + 2.4e-8. */
#define DOUBLE_BOUND 1e-6

/* The interpreter, in the precision that the graph has. */
static void interpret(struct net *net, bool adam, struct run *run)
{
    struct tensor data[INPUTS + 1], outputs[3] = { 0 };
    const struct tensor *list[INPUTS + 1];
    make_data(net, data, adam);
    for (int i = 0; i <= INPUTS; i++)
        list[i] = &data[i];
    *run = (struct run){ 0 };
    for (int step = 0; step < STEPS; step++) {
        net_must(net, graph_run_reference(net->graph, list, outputs, &net->err));
        const struct tensor *loss = &outputs[net->graph->output_count - 1];
        run->loss[step] =
            loss->type == TENSOR_F64 ? *(double *)loss->data : (double)*(float *)loss->data;
        for (int i = 0; i < net->graph->output_count; i++)
            tensor_free(&outputs[i]);
    }
    for (int i = 0; i < net->graph->state_count; i++) {
        const struct value *state = &net->graph->values[net->graph->states[i]];
        add_magnitudes(run, state->name, &state->state);
    }
    for (int i = 0; i <= INPUTS; i++)
        tensor_free(&data[i]);
}

/* In doubles, and in floats. */
static void interpret_both(bool adam)
{
    struct net net;
    struct run run;
    struct graph *floats = NULL;
    const struct train_options options = options_of(adam);
    const struct ten_steps_expected *wide = adam ? &adam_f64 : &sgd_f64;

    build(&net, &options);
    net_must(&net, graph_clone(&floats, net.graph, &net.err));
    net_must(&net, graph_to_double(net.graph, &net.err));
    interpret(&net, adam, &run);
    compare("doubles, beside PyTorch's", &run, wide, DOUBLE_BOUND, DOUBLE_BOUND);
    graph_free(&net.graph);
    net.graph = floats;
    interpret(&net, adam, &run);
    compare("interpreter, beside doubles", &run, wide, FLOAT_BOUND_OURS, FLOAT_BOUND_OURS);
    net_end(&net);
}

static void the_interpreter_gives_the_losses_of_pytorch(void **state)
{
    (void)state;
    interpret_both(true);
    interpret_both(false);
}

static bool is_nothing(const char *name, void *arg)
{
    (void)name, (void)arg;
    return false;
}

static void nothing_to_learn_is_an_error(void **state)
{
    struct net net;
    struct train_options options = options_of(true);
    (void)state;
    options.learns = is_nothing;
    build_model(&net);
    int loss = add_loss(&net);
    assert_int_equal(train_make(net.graph, loss, &options, &net.err), -ERROR_CONFIG);
    assert_non_null(strstr(net.err.text, "nothing learns"));
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interpreter_gives_the_losses_of_pytorch),
        cmocka_unit_test(adam_gives_the_losses_of_pytorch),
        cmocka_unit_test(sgd_gives_the_losses_of_pytorch),
        cmocka_unit_test(recomputing_changes_nothing),
        cmocka_unit_test(frozen_parts_stay_and_weights_come_back),
        cmocka_unit_test(nothing_to_learn_is_an_error),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
