/* case: one of ONNX's back-end test cases, a folder with model.onnx and test_data_set_N/{input,output}_K.pb. */
#ifndef RUNESPOOR_TESTS_CONFORMANCE_CASE_H
#define RUNESPOOR_TESTS_CONFORMANCE_CASE_H

enum verdict { VERDICT_PASSED, VERDICT_REFUSED, VERDICT_WRONG, VERDICT_CRASHED };
#define VERDICT_COUNT 4

extern const char *const verdict_words[VERDICT_COUNT];

/* Plain data: it lies in memory that a child shares with the parent. */
struct outcome {
    enum verdict verdict;
    char op[64]; /* of the model's node; "several nodes" */
    char reason[512];
};

/* Runs the case with the interpreter and compiled for the cpu, and compares both with what is expected.
 * It may crash or hang: the verdict is CRASHED until the end, the op is there as soon as it is known. */
void case_run(const char *folder, struct outcome *outcome);

#endif
