/* cpu: the device itself: a oneDNN engine and a number of threads. */
#include "cpu/cpu.h"
#include "cpu/peak.h"
#include "cpu/plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 1024

static int cpu_open(struct device **device, const char *arguments, struct error *err);
static void cpu_get_info(const struct device *device, struct device_info *info);
static void cpu_close(struct device *device);
static int read_arguments(const char *arguments, int *threads, struct error *err);
static void read_name(char *name, size_t name_bytes);

const struct device_class cpu_class = {
    .kind = "cpu",
    .open = cpu_open,
    .get_info = cpu_get_info,
    .close = cpu_close,
    .compile = cpu_compile,
    .bind = cpu_plan_bind,
    .run = cpu_plan_run,
    .step = cpu_plan_step,
    .print = cpu_plan_print,
    .peak = cpu_peak_gflops,
    .plan_free = cpu_plan_free,
};

static int cpu_open(struct device **device, const char *arguments, struct error *err)
{
    int threads;
    int rc = read_arguments(arguments, &threads, err);
    if (rc)
        return rc;
    struct cpu_device *cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    cpu->device.class = &cpu_class;
    cpu->threads = threads;
    /* Every ISA from avx512_core_bf16 up contains its bit. */
    cpu->bf16 = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
                dnnl_cpu_isa_avx512_core_bf16;
    /* Older ones add two products in 16 bits, which is not enough for them. */
    cpu->bytes = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_vnni) ==
                 dnnl_cpu_isa_avx512_core_vnni;
    dnnl_status_t status = dnnl_engine_create(&cpu->engine, dnnl_cpu, 0);
    if (!status)
        status = dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_default_flags);
    if (status) {
        cpu_close(&cpu->device);
        return cpu_dnnl_error(err, status, "cpu", "device", "opening it");
    }
    *device = &cpu->device;
    return 0;
}

static void cpu_get_info(const struct device *device, struct device_info *info)
{
    const struct cpu_device *cpu = (const struct cpu_device *)device;
    *info = (struct device_info){
        .kind = "cpu",
        .threads = (uint32_t)cpu->threads,
        .bf16 = cpu->bf16,
        .bf16x3 = cpu->bf16,
    };
    read_name(info->name, sizeof info->name);
}

static void cpu_close(struct device *device)
{
    struct cpu_device *cpu = (struct cpu_device *)device;
    if (cpu->stream)
        dnnl_stream_destroy(cpu->stream);
    if (cpu->engine)
        dnnl_engine_destroy(cpu->engine);
    free(cpu);
}

static int read_arguments(const char *arguments, int *threads, struct error *err)
{
    static const char key[] = "threads=";
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    *threads = online < 1 ? 1 : online > THREADS_MAX ? THREADS_MAX : (int)online;
    if (!*arguments)
        return 0;
    if (strncmp(arguments, key, strlen(key)) != 0)
        return error_set(err, ERROR_CONFIG, "device",
                         "'cpu:%.40s': the only argument of cpu is threads, as in cpu:threads=2",
                         arguments);
    const char *number = arguments + strlen(key);
    char *end;
    errno = 0;
    long wanted = strtol(number, &end, 10);
    if (end == number || *end || errno || wanted < 1 || wanted > THREADS_MAX)
        return error_set(err, ERROR_CONFIG, "device", "'cpu:%.40s': threads is 1 to %d", arguments,
                         THREADS_MAX);
    *threads = (int)wanted;
    return 0;
}

/* As Linux tells it; "x86" and the like is of no use to anybody, so unknown stays unknown. */
static void read_name(char *name, size_t name_bytes)
{
    static const char key[] = "model name";
    char line[256];
    strncpy(name, "unknown", name_bytes);
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon)
            continue;
        colon += strspn(colon, ": \t");
        snprintf(name, name_bytes, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    fclose(file);
}
