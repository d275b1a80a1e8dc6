#!/usr/bin/env python3
"""Compares plans of ours with ONNX Runtime: outputs on real pictures, and times.

    ort_compare.py --plan-run build/test/bench/plan_run --pictures DIR [--threads 2] MODEL...

MODEL is a path, or PATH@SHAPE[@SHAPE...] where the file leaves sizes open, as in
espcn_x3.onnx@1x1x224x224. Needs onnxruntime, numpy and pillow. Each round runs one after the other,
ours and theirs in turn, so that both meet the same neighbours; the median over the rounds counts.
Ends with status 1 when an output differs by more than --bound (norm of the difference over norm).
"""
import argparse
import glob
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime
from PIL import Image


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plan-run", required=True, help="the program tests/bench/plan_run.c")
    parser.add_argument("--pictures", required=True, help="folder with jpg or png files")
    parser.add_argument("--picture-count", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=20, help="of each side in each round")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--bound", type=float, default=1e-3)
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("models", nargs="+")
    return parser.parse_args()


def open_session(path, threads, optimised):
    """Outputs are compared with the graph as it is written, times with the graph at its fastest."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = (levels.ORT_ENABLE_ALL if optimised
                                        else levels.ORT_DISABLE_ALL)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def find_pictures(folder, count):
    files = sorted(glob.glob(os.path.join(folder, "*.jpg")) + glob.glob(os.path.join(folder, "*.png")))
    if not files:
        sys.exit(f"ort_compare: no jpg or png files in {folder}")
    step = max(1, len(files) // count)
    return files[::step][:count]


def picture_as_input(path, name, shape):
    """Fills an image-like input from the picture, anything else with zeros (masks)."""
    if len(shape) != 4 or "mask" in name:
        return numpy.zeros(shape, numpy.float32)
    channels_last = shape[3] in (1, 3)
    channels = shape[3] if channels_last else shape[1]
    height, width = shape[1:3] if channels_last else shape[2:4]
    picture = Image.open(path).convert("L" if channels == 1 else "RGB").resize((width, height))
    pixels = numpy.asarray(picture, numpy.float32).reshape(height, width, channels)
    if "yolox" not in os.path.basename(name):  # which wants 0..255
        pixels = pixels / 255
    if not channels_last:
        pixels = pixels.transpose(2, 0, 1)
    return numpy.ascontiguousarray(pixels[None])


def run_ours(arguments, path, shapes, files, prefix, runs):
    command = [arguments.plan_run, "-d", f"cpu:threads={arguments.threads}", "-r", str(runs)]
    if arguments.bf16:
        command.append("-b")
    for shape in shapes:
        command += ["-s", "x".join(map(str, shape))]
    if prefix:
        command += ["-o", prefix]
    # As the product's workers run, see kernels/cpu/cpu.h.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    done = subprocess.run(command + [path] + files, capture_output=True, text=True,
                          env=environment)
    if done.returncode:
        sys.exit(f"ort_compare: {path}: {done.stderr.strip()}")
    times = re.search(r"median_ms=([\d.]+)", done.stdout)
    return float(times.group(1)) if times else None


def run_theirs(session, feed, runs):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def compare_outputs(arguments, path, session, shapes, folder):
    """The largest error of each output over all pictures, and the last picture's files and feed."""
    inputs = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    worst = dict.fromkeys(names, 0.0)
    for picture in find_pictures(arguments.pictures, arguments.picture_count):
        feed, files = {}, []
        for index, (info, shape) in enumerate(zip(inputs, shapes)):
            feed[info.name] = picture_as_input(picture, path if "mask" not in info.name else "mask",
                                               shape)
            files.append(os.path.join(folder, f"in.{index}"))
            feed[info.name].tofile(files[-1])
        prefix = os.path.join(folder, "out")
        run_ours(arguments, path, shapes, files, prefix, 0)
        for index, (name, expected) in enumerate(zip(names, session.run(None, feed))):
            got = numpy.fromfile(f"{prefix}.{index}", expected.dtype).reshape(expected.shape)
            difference = numpy.linalg.norm((got.astype(float) - expected.astype(float)).ravel())
            error = difference / (numpy.linalg.norm(expected.astype(float).ravel()) + 1e-30)
            worst[name] = max(worst[name], float(error))
    return worst, files, feed


def compare_times(arguments, path, session, shapes, files, feed):
    run_theirs(session, feed, 3)
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(run_ours(arguments, path, shapes, files, None, arguments.runs))
        theirs.append(run_theirs(session, feed, arguments.runs))
    return statistics.median(ours), statistics.median(theirs)


def compare(arguments, model):
    path, *texts = model.split("@")
    session = open_session(path, arguments.threads, False)
    given = [[int(d) for d in text.split("x")] for text in texts]
    shapes = given or [list(info.shape) for info in session.get_inputs()]
    for info, shape in zip(session.get_inputs(), shapes):
        if not all(isinstance(d, int) for d in shape):
            sys.exit(f"ort_compare: {path}: input {info.name} needs a shape, as in PATH@1x3x224x224")
    with tempfile.TemporaryDirectory() as folder:
        worst, files, feed = compare_outputs(arguments, path, session, shapes, folder)
        line = os.path.basename(path) + ": " + " ".join(f"{k}={v:.2e}" for k, v in worst.items())
        if not arguments.no_times:
            fast = open_session(path, arguments.threads, True)
            ours, theirs = compare_times(arguments, path, fast, shapes, files, feed)
            line += f" ours_ms={ours:.2f} onnxruntime_ms={theirs:.2f} ratio={ours / theirs:.2f}"
        print(line, flush=True)
    return all(error < arguments.bound for error in worst.values())


def main():
    arguments = read_arguments()
    good = [compare(arguments, model) for model in arguments.models]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
