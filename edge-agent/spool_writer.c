/* spool_writer: the spool's thread. What was asked for is done in one transaction; when that fails, new
 * frames are given up, as there may be no room for them, and the rest is tried again: answers make
 * room. */
#include "spool_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_PER_MB (UINT64_C(1) << 20)
#define RETRY_NS CLOCK_NS_PER_S       /* after an error of the disk */
#define LOOK_NS (10 * CLOCK_NS_PER_S) /* for frames that have become too old */
#define LOG_AGAIN_NS (60 * CLOCK_NS_PER_S)
#define US_PER_H UINT64_C(3600000000)
#define CLOCK_JUMP_US INT64_C(60000000) /* nobody turns a clock so far between two looks */
#define OLD_GROUPS_MAX 64u              /* dropped in one transaction */

static bool work(struct spool *spool);

/* ---- opening ---- */

static void make_metrics(struct spool_writer *writer, struct metrics *metrics)
{
    writer->bytes = metrics_gauge(metrics, "edge_spool_bytes", "Bytes in use in the spool", NULL, 0);
    writer->waiting = metrics_gauge(metrics, "edge_spool_frames",
                                    "Frames in the spool that wait for an answer", NULL, 0);
    writer->oldest =
        metrics_gauge(metrics, "edge_spool_oldest_seconds", "Age of the oldest of them", NULL, 0);
    writer->errors =
        metrics_counter(metrics, "edge_spool_errors_total", "Transactions that failed", NULL, 0);
    writer->commit = metrics_histogram(
        metrics, "edge_spool_commit_seconds",
        "Time of a transaction, with the answers that were brought to the disk before it", NULL, 0);
    writer->lines_written =
        metrics_counter(metrics, "edge_answer_lines_total", "Answer lines made", NULL, 0);
    writer->lines_dropped =
        metrics_counter(metrics, "edge_answer_lines_dropped_total",
                        "Answer lines lost because the disk was too slow or full", NULL, 0);
}

/* Notes where the file ends now, and nothing else. */
static int commit_mark(struct spool_writer *writer, struct error *err)
{
    struct lines_mark mark;
    lines_get_mark(writer->lines, &mark);
    int result = spool_db_begin(writer->db, err);
    if (result == 0)
        result = spool_db_set_mark(writer->db, &mark, err);
    if (result == 0)
        result = spool_db_commit(writer->db, err);
    if (result == 0)
        writer->mark = mark;
    else
        spool_db_roll_back(writer->db);
    return result;
}

int spool_writer_open(struct spool_writer *writer, struct spool *spool,
                      const struct sink_config *answers, struct error *err)
{
    struct lines_mark mark;
    make_metrics(writer, spool->metrics);
    writer->looked_us = clock_wall_us();
    writer->looked_ns = clock_now_ns();
    int result =
        spool_db_open(&writer->db, spool->config->path, spool->config->size_mb * BYTES_PER_MB, err);
    if (result != 0 || !answers->path[0])
        return result;
    result = spool_db_get_mark(writer->db, &mark, err);
    if (result == 0)
        result = lines_open(&writer->lines, answers, &mark, err);
    return result == 0 ? commit_mark(writer, err) : result;
}

void spool_writer_close(struct spool_writer *writer)
{
    struct error err;
    if (lines_close(&writer->lines, &err) != 0)
        log_error("spool", "closing failed", LOG_CAUSE(&err));
    spool_db_close(&writer->db);
    text_finish(&writer->text);
}

/* ---- the thread ---- */

/* Waits for something to do; true when the spool is to end. */
static bool wait_for_work(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    uv_mutex_lock(&spool->mutex);
    if (!spool->stopping && (writer->failing || !spool->asked.first))
        uv_cond_timedwait(&spool->changed, &spool->mutex, writer->failing ? RETRY_NS : LOOK_NS);
    for (struct request *request; (request = request_list_take(&spool->asked));)
        request_list_add(&writer->pending, request);
    bool stopping = spool->stopping;
    uv_mutex_unlock(&spool->mutex);
    return stopping;
}

static void hand_back(struct spool *spool, struct request_list *done)
{
    uv_mutex_lock(&spool->mutex);
    for (struct request *request; (request = request_list_take(done));)
        request_list_add(&spool->done, request);
    uv_mutex_unlock(&spool->mutex);
    uv_async_send(&spool->wake);
}

/* What could not be done to the very end. Frames without answers are in the spool still. */
static void give_up(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    uint64_t lines = 0;
    for (struct request *request = writer->pending.first; request; request = request->next)
        lines += request->kind == REQUEST_LINE;
    if (lines > 0)
        log_error("spool", "answers of live streams lost", LOG_U64("lines", lines));
    metric_counter_add(writer->lines_dropped, lines);
    hand_back(spool, &writer->pending);
}

void spool_writer_main(void *arg)
{
    struct spool *spool = arg;
    for (bool stopping = false; !stopping;) {
        stopping = wait_for_work(spool);
        uv_mutex_lock(&spool->disk);
        if (!work(spool) && stopping)
            give_up(spool);
        uv_mutex_unlock(&spool->disk);
    }
    uv_mutex_lock(&spool->mutex);
    spool->stopped = true;
    uv_mutex_unlock(&spool->mutex);
    uv_async_send(&spool->wake);
}

/* ---- one request, inside the transaction ---- */

/* A loss counts once it is committed. */
static void note_loss(struct spool *spool, const struct spool_loss *loss, enum drop_reason reason)
{
    struct spool_stream *stream = spool->streams;
    while (stream && stream->place.id != loss->id)
        stream = stream->next;
    if (!stream) {
        spool->writer.lost[reason] += loss->frames;
        return;
    }
    stream->lost[reason] += loss->frames;
    stream->place.waiting -= loss->frames;
    if (stream->place.has_group && stream->place.last_group == loss->group)
        stream->place.has_group = false; /* what comes next needs what is gone */
}

/* Makes room for a frame, where that is wanted. */
static int make_room(struct spool *spool, size_t bytes, bool *room, struct error *err)
{
    struct spool_db *db = spool->writer.db;
    struct spool_loss loss = { .id = -1 };
    int result = spool_db_has_room(db, bytes, room, err);
    while (result == 0 && !*room && loss.id != 0 && spool->config->full == SPOOL_FULL_OLDEST) {
        result = spool_db_drop_oldest(db, &loss, err);
        if (result == 0 && loss.id != 0)
            note_loss(spool, &loss, DROP_SPOOL_FULL);
        if (result == 0)
            result = spool_db_has_room(db, bytes, room, err);
    }
    return result;
}

static int put_frame(struct spool *spool, struct request *request, struct error *err)
{
    struct spool_stream *stream = request->stream;
    struct spool_frame *stored = &request->frames[0];
    size_t bytes;
    bool room;
    packet_data(stored->frame.packet, &bytes);
    int result = make_room(spool, bytes, &room, err);
    if (result != 0)
        return result;
    request->fate = room ? SPOOL_STORED : SPOOL_FULL;
    if (room && !stored->frame.keyframe && !stream->place.has_group)
        request->fate = SPOOL_GROUPLESS;
    if (request->fate != SPOOL_STORED) {
        stream->place.has_group = false;
        return 0;
    }
    result = spool_db_put(spool->writer.db, &stream->place, stored, err);
    stored->group = stream->place.last_group;
    request->previous = stream->previous;
    stream->previous = stored->frame.number;
    return result;
}

static int do_answer(struct spool *spool, struct request *request, struct error *err)
{
    struct spool_writer *writer = &spool->writer;
    struct spool_stream *stream = request->stream;
    const struct spool_answer *answer = &request->answer;
    uint32_t tries = SPOOL_TRIES_MAX;
    bool found;
    int result = 0;
    if (!answer->final)
        result = spool_db_count_try(writer->db, &stream->place, answer->number, &tries, err);
    request->end = tries == 0 ? SPOOL_GONE : SPOOL_AGAIN;
    if (result != 0 || tries < SPOOL_TRIES_MAX)
        return result;
    result = spool_db_answer(writer->db, &stream->place, answer->number, &found, err);
    request->end = found ? SPOOL_ANSWERED : SPOOL_GONE;
    if (result == 0 && found)
        text_add(&writer->text, request->line.data, request->line.size);
    return result;
}

/* A damaged frame takes with it those behind it in its group. */
static int drop_damaged(struct spool *spool, struct request *request,
                        const struct spool_frame *damaged, struct error *err)
{
    struct spool_loss loss;
    log_error("spool", "frames are damaged on the disk and cannot be sent",
              LOG_STR("stream", request->stream->name), LOG_U64("frame", damaged->frame.number),
              LOG_STR("path", spool->config->path));
    int result = spool_db_drop_rest(spool->writer.db, &request->stream->place, damaged->group,
                                    damaged->frame.number, &loss, err);
    if (result == 0)
        note_loss(spool, &loss, DROP_SPOOL_DAMAGED);
    return result;
}

static int read_frames(struct spool *spool, struct request *request, struct error *err)
{
    uint64_t from = request->from;
    int result = 0;
    while (result == 0 && request->frame_count < SPOOL_READ_MAX) {
        struct spool_frame *frame = &request->frames[request->frame_count];
        result = spool_db_read(spool->writer.db, &request->stream->place, from, request->below,
                               frame, err);
        if (result == 0 && !frame->frame.packet) {
            result = drop_damaged(spool, request, frame, err);
            continue;
        }
        if (result == 0) {
            from = frame->frame.number + 1;
            request->frame_count++;
        }
    }
    return result == -ERROR_END ? 0 : result;
}

static int do_request(struct spool *spool, struct request *request, struct error *err)
{
    switch (request->kind) {
    case REQUEST_PUT:
        return put_frame(spool, request, err);
    case REQUEST_ANSWER:
        return do_answer(spool, request, err);
    case REQUEST_READ:
        return read_frames(spool, request, err);
    case REQUEST_LINE:
        text_add(&spool->writer.text, request->line.data, request->line.size);
        return 0;
    }
    return 0;
}

/* ---- all of them ---- */

/* The clock of a box that has no battery for one jumps ahead, by years even, when the link is back and with it
 * somebody who knows the time; and just then the spool is full of frames with times from before, all of which
 * would be too old at once. So the time that ages are taken by stays behind as far as the clock has jumped,
 * until they are gone. */
static void follow_clock(struct spool_writer *writer)
{
    uint64_t now_us = clock_wall_us(), now_ns = clock_now_ns();
    int64_t jump_us =
        (int64_t)(now_us - writer->looked_us) - (int64_t)((now_ns - writer->looked_ns) / 1000);
    if (jump_us > CLOCK_JUMP_US || jump_us < -CLOCK_JUMP_US) {
        int64_t behind_us = (int64_t)writer->behind_us + jump_us;
        writer->behind_us = behind_us > 0 ? (uint64_t)behind_us : 0;
        writer->jumped_us = now_us;
    }
    writer->looked_us = now_us;
    writer->looked_ns = now_ns;
}

static uint64_t ageing_now_us(const struct spool_writer *writer)
{
    return writer->looked_us > writer->behind_us ? writer->looked_us - writer->behind_us : 0;
}

static int drop_old(struct spool *spool, struct error *err)
{
    struct spool_writer *writer = &spool->writer;
    struct spool_loss loss = { .id = -1 };
    uint64_t oldest_us, age_us = spool->config->age_h * US_PER_H, now_us = ageing_now_us(writer);
    uint64_t limit_us = age_us > 0 && now_us > age_us ? now_us - age_us : 0;
    int result = 0;
    for (size_t i = 0; result == 0 && loss.id != 0 && i < OLD_GROUPS_MAX; i++) {
        result = spool_db_drop_older(writer->db, limit_us, &loss, &oldest_us, err);
        if (result == 0 && loss.id != 0)
            note_loss(spool, &loss, DROP_SPOOL_AGE);
        else if (result == 0 && i == 0 && (oldest_us == 0 || oldest_us >= writer->jumped_us))
            writer->behind_us = 0; /* not when one was dropped: that may be taken back */
    }
    return result;
}

static int write_lines(struct spool_writer *writer, struct error *err)
{
    struct lines_mark mark;
    size_t written;
    if (writer->text.failed)
        return error_set(err, ERROR_MEMORY, "spool", "no memory for lines");
    if (!writer->lines || writer->text.size == 0)
        return 0;
    int result = lines_write(writer->lines, writer->text.data, writer->text.size, &written, err);
    if (result == 0)
        result = lines_sync(writer->lines, err);
    lines_get_mark(writer->lines, &mark);
    return result == 0 ? spool_db_set_mark(writer->db, &mark, err) : result;
}

static int try_all(struct spool *spool, struct error *err)
{
    struct spool_writer *writer = &spool->writer;
    text_clear(&writer->text);
    writer->text.failed = false;
    follow_clock(writer);
    int result = spool_db_begin(writer->db, err);
    if (result == 0)
        result = drop_old(spool, err);
    for (struct request *request = writer->pending.first; result == 0 && request;
         request = request->next)
        result = do_request(spool, request, err);
    if (result == 0)
        result = write_lines(writer, err);
    return result == 0 ? spool_db_commit(writer->db, err) : result;
}

static void remember_places(struct spool *spool)
{
    for (struct spool_stream *stream = spool->streams; stream; stream = stream->next)
        stream->place_before = stream->place;
}

/* As if nothing had been tried, but for what may stand behind the mark in the file. */
static void take_back(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    spool_db_roll_back(writer->db);
    memset(writer->lost, 0, sizeof writer->lost);
    for (struct spool_stream *stream = spool->streams; stream; stream = stream->next) {
        stream->place = stream->place_before;
        memset(stream->lost, 0, sizeof stream->lost);
    }
    for (struct request *request = writer->pending.first; request; request = request->next)
        for (; request->kind == REQUEST_READ && request->frame_count > 0; request->frame_count--)
            packet_unref(&request->frames[request->frame_count - 1].frame.packet);
}

/* The file as it was with the last commit; a new one where it is full. */
static int prepare_lines(struct spool_writer *writer, struct error *err)
{
    struct lines_mark end;
    int result = 0;
    lines_get_mark(writer->lines, &end);
    if (end.inode == writer->mark.inode) /* else the commit below has failed before */
        result = lines_cut(writer->lines, &writer->mark, err);
    if (result == 0 && lines_are_full(writer->lines))
        result = lines_rotate(writer->lines, err);
    lines_get_mark(writer->lines, &end);
    if (result == 0 && end.inode != writer->mark.inode)
        result = commit_mark(writer, err); /* before anything is in the new file */
    return result;
}

/* One transaction; false, with all taken back, when it failed. */
static bool try_transaction(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    struct error err;
    uint64_t begin_ns = clock_now_ns();
    remember_places(spool);
    int result = spool_db_settle(writer->db, &err);
    if (result == 0 && writer->lines)
        result = prepare_lines(writer, &err);
    if (result == 0)
        result = try_all(spool, &err);
    if (result == 0) {
        if (writer->lines)
            lines_get_mark(writer->lines, &writer->mark);
        if (writer->pending.first)
            metric_histogram_observe_us(writer->commit, (clock_now_ns() - begin_ns) / 1000);
        return true;
    }
    take_back(spool);
    metric_counter_add(writer->errors, 1);
    /* A disk that is nearly full takes some and refuses others. */
    bool again = writer->failed_ns != 0 && begin_ns - writer->failed_ns < LOG_AGAIN_NS;
    if (!writer->failing && !again) {
        log_error("spool", "cannot write, trying again", LOG_CAUSE(&err));
        writer->failed_ns = begin_ns;
    }
    writer->failing = true;
    return false;
}

/* A spool that stays full drops all the time: that is said once a minute. */
static void log_losses(struct spool_writer *writer, enum drop_reason reason, uint64_t lost)
{
    uint64_t now_ns = clock_now_ns();
    writer->untold[reason] += lost;
    if (writer->untold[reason] == 0 ||
        (writer->told_ns[reason] != 0 && now_ns - writer->told_ns[reason] < LOG_AGAIN_NS))
        return;
    log_warn("spool", "frames dropped without an answer", LOG_U64("frames", writer->untold[reason]),
             LOG_STR("reason", figures_drop_word(reason)));
    writer->untold[reason] = 0;
    writer->told_ns[reason] = now_ns;
}

static void count_losses(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    static const enum drop_reason reasons[] = { DROP_SPOOL_FULL, DROP_SPOOL_AGE, DROP_SPOOL_DAMAGED };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        enum drop_reason reason = reasons[i];
        uint64_t lost = writer->lost[reason];
        for (struct spool_stream *stream = spool->streams; stream; stream = stream->next) {
            uv_mutex_lock(&spool->mutex);
            if (stream->figures)
                figures_count_drops(stream->figures, reason, stream->lost[reason]);
            uv_mutex_unlock(&spool->mutex);
            lost += stream->lost[reason];
            stream->lost[reason] = 0;
        }
        writer->lost[reason] = 0;
        log_losses(writer, reason, lost);
    }
}

static void show_figures(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    struct spool_figures figures;
    uint64_t now_us = ageing_now_us(writer), waiting = 0;
    struct error err;
    for (struct spool_stream *stream = spool->streams; stream; stream = stream->next) {
        atomic_store(&stream->waiting, stream->place.waiting);
        waiting += stream->place.waiting;
    }
    metric_gauge_set(writer->waiting, (double)waiting);
    if (spool_db_get_figures(writer->db, &figures, &err) != 0)
        return; /* the next transaction says what is wrong */
    double age_s = 0;
    if (figures.oldest_unix_us > 0 && figures.oldest_unix_us < now_us)
        age_s = (double)(now_us - figures.oldest_unix_us) / 1e6;
    metric_gauge_set(writer->bytes, (double)figures.bytes);
    metric_gauge_set(writer->oldest, age_s);
}

static void count_lines(struct spool *spool)
{
    for (struct request *request = spool->writer.pending.first; request; request = request->next) {
        bool answered = request->kind == REQUEST_ANSWER && request->end == SPOOL_ANSWERED;
        if (spool->writer.lines && (answered || request->kind == REQUEST_LINE))
            metric_counter_add(spool->writer.lines_written, 1);
        if (request->kind == REQUEST_LINE)
            atomic_fetch_sub(&spool->line_bytes, request->line.size);
    }
}

static bool has_put(const struct request_list *list)
{
    const struct request *request = list->first;
    while (request && request->kind != REQUEST_PUT)
        request = request->next;
    return request;
}

/* New frames go back to the loop as failed; the rest stays. */
static void fail_puts(struct spool *spool)
{
    struct request_list all = spool->writer.pending, failed = { 0 };
    spool->writer.pending = (struct request_list){ 0 };
    for (struct request *request; (request = request_list_take(&all));) {
        if (request->kind == REQUEST_PUT) {
            request->fate = SPOOL_FAILED;
            request->stream->place.has_group = false;
        }
        request_list_add(request->kind == REQUEST_PUT ? &failed : &spool->writer.pending, request);
    }
    hand_back(spool, &failed);
}

/* Does all that is pending; false when it has to be tried again. */
static bool work(struct spool *spool)
{
    struct spool_writer *writer = &spool->writer;
    bool done = try_transaction(spool);
    if (!done) {
        bool puts = has_put(&writer->pending);
        fail_puts(spool);
        done = try_transaction(spool);
        writer->refusing = writer->refusing || puts;
    } else if (writer->failing && (!writer->refusing || has_put(&writer->pending))) {
        log_info("spool", "written again", LOG_STR("path", spool->config->path));
        writer->failing = writer->refusing = false;
    }
    if (!done)
        return false;
    count_lines(spool);
    count_losses(spool);
    show_figures(spool);
    hand_back(spool, &writer->pending);
    return true;
}
