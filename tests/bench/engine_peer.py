#!/usr/bin/env python3
"""One peer with one model, for engine.py: loads it, runs it once, and then takes orders.

    engine_peer.py onnxruntime|openvino f32|bf16 THREADS MODEL PREFIX INPUT...

Inputs are .npy files; the outputs of the first run go to PREFIX.0.npy and so on, in the file's order. The
first line says by how much the process had grown at most from before it loaded the model to behind the
first run; then each line of standard input is a number of runs, answered by their median in ms (as
plan_run -i). Inputs and outputs stay bound, so that a run copies nothing on either side. ONNX Runtime is at
its highest optimisation level, but with the level "plain" instead of f32, which is for comparing outputs;
OpenVINO is in latency mode with one stream, its arithmetic as asked for.
"""
import re
import statistics
import sys
import time

import numpy


def memory_line(key):
    with open("/proc/self/status") as status:
        return int(re.search(rf"{key}:\s+(\d+)", status.read()).group(1)) << 10


def open_onnxruntime(precision, threads, path, arrays):
    """What runs it once, and what gives the outputs."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (levels.ORT_DISABLE_ALL if precision == "plain"
                                        else levels.ORT_ENABLE_ALL)
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # twinlitenet: ten times as fast
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for info, array in zip(session.get_inputs(), arrays, strict=True):
        binding.bind_cpu_input(info.name, array)
    for info in session.get_outputs():
        binding.bind_output(info.name)
    session.run_with_iobinding(binding)
    for info, value in zip(session.get_outputs(), binding.get_outputs()):
        binding.bind_ortvalue_output(info.name, value)
    return lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu


def open_openvino(precision, threads, path, arrays):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
    request = compiled.create_infer_request()
    for index, array in enumerate(arrays):
        request.set_input_tensor(index, openvino.Tensor(array, shared_memory=True))
    request.infer(share_outputs=True)

    def run():
        request.start_async()
        request.wait()
    return run, lambda: [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]


def main():
    kind, precision, threads, path, prefix, *files = sys.argv[1:]
    before_bytes = memory_line("VmRSS")
    open_peer = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}[kind]
    arrays = [numpy.load(file) for file in files]  # kept, as they are only borrowed
    run, outputs = open_peer(precision, int(threads), path, arrays)
    grown_bytes = memory_line("VmHWM") - before_bytes
    for index, array in enumerate(outputs()):
        numpy.save(f"{prefix}.{index}.npy", array)
    print(f"grown_bytes={grown_bytes}", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        print(f"min_ms={min(times):.4f} median_ms={statistics.median(times):.4f}", flush=True)


if sys.argv[1] == "onnxruntime":
    import onnxruntime
else:
    import openvino
main()
