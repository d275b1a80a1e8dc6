/* sink_mqtt_none: stands in for sink_mqtt.c in a build without libmosquitto. */
#include "sink_mqtt.h"

bool sink_mqtt_is_built(void)
{
    return false;
}

int sink_mqtt_open(struct sink_mqtt **sink, uv_loop_t *loop, const struct mqtt_config *config,
                   const char *agent_name, struct metrics *metrics,
                   sink_mqtt_published_fn *published, void *arg, struct error *err)
{
    (void)sink;
    (void)loop;
    (void)config;
    (void)agent_name;
    (void)metrics;
    (void)published;
    (void)arg;
    return error_set(err, ERROR_UNSUPPORTED, "mqtt", "built without libmosquitto");
}

int sink_mqtt_add_answer(struct sink_mqtt *sink, const Runespoor__Answer *answer, uint64_t age_us,
                         uint64_t ticket)
{
    (void)sink;
    (void)answer;
    (void)age_us;
    (void)ticket;
    return 0;
}

void sink_mqtt_close(struct sink_mqtt **sink)
{
    (void)sink;
}
