/* sink_mqtt: see the header. The loop puts messages into a queue and says so through an eventfd; the
 * thread (sink_mqtt_link.c) gives tickets back through an async. */
#include "sink_mqtt_private.h"

#include "net/answer_json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_told(uv_async_t *handle);

bool sink_mqtt_is_built(void)
{
    return true;
}

static struct metric_counter *dropped_counter(struct metrics *metrics, const char *reason)
{
    const struct metric_label label = { "reason", reason };
    return metrics_counter(metrics, "edge_mqtt_dropped_total",
                           "Answers that were not published, by reason", &label, 1);
}

static void init_metrics(struct sink_mqtt *sink)
{
    struct metrics *metrics = sink->metrics;
    sink->state = metrics_gauge(metrics, "edge_mqtt_state", "0 waiting, 1 connecting, 2 up", NULL, 0);
    sink->waiting = metrics_gauge(metrics, "edge_mqtt_waiting_bytes",
                                  "Answers that wait for the broker, in bytes", NULL, 0);
    sink->tries = metrics_counter(metrics, "edge_mqtt_tries_total", "Connections begun", NULL, 0);
    sink->done = metrics_counter(metrics, "edge_mqtt_published_total", "Answers published", NULL, 0);
    sink->dropped_full = dropped_counter(metrics, "full");
    sink->dropped_lost = dropped_counter(metrics, "link_lost");
    sink->dropped_refused = dropped_counter(metrics, "refused");
    sink->dropped_stopped = dropped_counter(metrics, "stopped");
}

static void free_sink(struct sink_mqtt *sink)
{
    if (sink->client)
        mosquitto_destroy(sink->client);
    mosquitto_lib_cleanup();
    if (sink->wake >= 0)
        close(sink->wake);
    mqtt_queue_finish(&sink->queue);
    uv_mutex_destroy(&sink->lock);
    text_finish(&sink->topic);
    text_finish(&sink->line);
    text_finish(&sink->state_topic);
    text_finish(&sink->message);
    free(sink);
}

int sink_mqtt_open(struct sink_mqtt **out, uv_loop_t *loop, const struct mqtt_config *config,
                   const char *agent_name, struct metrics *metrics,
                   sink_mqtt_published_fn *published, void *arg, struct error *err)
{
    struct sink_mqtt *sink = calloc(1, sizeof *sink);
    if (!sink || uv_mutex_init(&sink->lock) != 0) {
        free(sink);
        return error_set(err, ERROR_MEMORY, "mqtt", "no memory");
    }
    mosquitto_lib_init();
    sink->config = config;
    sink->agent_name = agent_name;
    sink->metrics = metrics;
    sink->published = published;
    sink->arg = arg;
    sink->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    backoff_init(&sink->backoff, config->backoff_first_ms, config->backoff_cap_ms, random_entropy());
    int result = mqtt_config_address(config->address, &sink->address, err);
    if (result == 0 && sink->wake < 0)
        result = error_set_errno(err, errno, "mqtt", "cannot make an event");
    if (result == 0)
        result = mqtt_queue_init(&sink->queue, SINK_MQTT_WAITING_BYTES_MAX, err);
    if (result == 0)
        result = sink_mqtt_link_open(sink, err);
    if (result == 0 && uv_async_init(loop, &sink->told, on_told) != 0)
        result = error_set(err, ERROR_MEMORY, "mqtt", "cannot make a handle");
    if (result != 0) {
        free_sink(sink);
        return result;
    }
    sink->told.data = sink;
    init_metrics(sink);
    if (uv_thread_create(&sink->thread, sink_mqtt_link_run, sink) != 0) {
        sink->ended = true; /* on_told finds no thread to join */
        sink->thread = 0;
        uv_async_send(&sink->told);
        return error_set(err, ERROR_MEMORY, "mqtt", "cannot start a thread");
    }
    *out = sink;
    return 0;
}

static void wake_thread(struct sink_mqtt *sink)
{
    const uint64_t one = 1;
    (void)!write(sink->wake, &one, sizeof one); /* full: it is awake */
}

int sink_mqtt_add_answer(struct sink_mqtt *sink, const Runespoor__Answer *answer, uint64_t age_us,
                         uint64_t ticket)
{
    size_t dropped = 0;
    text_clear(&sink->topic);
    text_clear(&sink->line);
    mqtt_config_topic(&sink->topic, sink->config->topic, sink->agent_name, answer->stream);
    answer_write_json(&sink->line, answer, &age_us);
    bool put = !sink->topic.failed && !sink->line.failed;
    if (put) {
        sink->line.size--; /* the newline */
        uv_mutex_lock(&sink->lock);
        put = mqtt_queue_put(&sink->queue, ticket, sink->topic.data, &sink->line, &dropped);
        metric_gauge_set(sink->waiting, (double)sink->queue.size);
        uv_mutex_unlock(&sink->lock);
    }
    metric_counter_add(sink->dropped_full, dropped + (!put && ticket == 0));
    if (put)
        wake_thread(sink);
    return put || ticket == 0 ? 0 : -ERROR_AGAIN;
}

void sink_mqtt_close(struct sink_mqtt **sink_ptr)
{
    struct sink_mqtt *sink = *sink_ptr;
    if (!sink)
        return;
    *sink_ptr = NULL;
    sink->published = NULL;
    uv_mutex_lock(&sink->lock);
    sink->stop = true;
    uv_mutex_unlock(&sink->lock);
    wake_thread(sink);
}

static void on_closed(uv_handle_t *handle)
{
    free_sink(handle->data);
}

static void on_told(uv_async_t *handle)
{
    struct sink_mqtt *sink = handle->data;
    uint64_t tickets[SINK_MQTT_TICKETS_MAX];
    uv_mutex_lock(&sink->lock);
    size_t count = sink->ticket_count;
    memcpy(tickets, sink->tickets, count * sizeof *tickets);
    sink->ticket_count = 0;
    bool ended = sink->ended;
    uv_mutex_unlock(&sink->lock);
    for (size_t i = 0; i < count && sink->published; i++)
        sink->published(sink->arg, tickets[i]);
    if (ended) {
        if (sink->thread)
            uv_thread_join(&sink->thread); /* it has nothing left to do */
        uv_close((uv_handle_t *)handle, on_closed);
    } else if (count == SINK_MQTT_TICKETS_MAX) {
        wake_thread(sink);
    }
}
