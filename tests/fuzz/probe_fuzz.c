/* probe_fuzz: any bytes as lines of an answer file, of which `cloud-server tail` makes figures. What is read as a
 * probe can be written again, and what was written is read as the same. */
#include "control/probe_sample.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sample(const struct probe_sample *sample)
{
    assert(sample->stream[0] && strlen(sample->stream) <= WIRE_NAME_BYTES_MAX);
    assert(sample->accuracy >= 0 && sample->accuracy <= 1);
    assert(sample->probability >= WIRE_PROBABILITY_MIN && sample->probability <= 1);
    assert(sample->kind < SCORE_KIND_COUNT && sample->class_count <= SCORE_CLASSES_MAX);
}

static void check_written(const struct probe_sample *sample)
{
    struct probe_reader *reader;
    struct probe_line again;
    struct text text = { 0 };
    struct error err;
    probe_sample_write(&text, sample);
    assert(!text.failed && probe_reader_open(&reader, &err) == 0);
    int rc = probe_reader_line(reader, text.data, text.size, &again, &err);
    assert(rc == 0 || rc == -ERROR_LIMIT); /* escapes may make a line longer than it was */
    if (rc == 0) {
        assert(again.kind == PROBE_LINE_PROBE && again.sample.frame == sample->frame);
        assert(strcmp(again.sample.rung, sample->rung) == 0);
        assert(fabs(again.sample.accuracy - sample->accuracy) <= 1e-6);
        assert(again.sample.class_count == sample->class_count);
    }
    probe_reader_close(&reader);
    text_finish(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct probe_reader *reader;
    struct probe_line line;
    struct error err = { 0 };
    assert(probe_reader_open(&reader, &err) == 0);
    if (probe_reader_line(reader, (const char *)data, size, &line, &err) < 0) {
        assert(err.code != ERROR_NONE && err.text[0]);
    } else if (line.kind == PROBE_LINE_PROBE) {
        check_sample(&line.sample);
        check_written(&line.sample);
    }
    probe_reader_close(&reader);
    return 0;
}
