#!/usr/bin/env python3
"""Files that the engine writes, in ONNX Runtime: every model of the test data and of models/.

    onnx_ort.py ONNX_COPY PLAN_RUN DATA

(make bench-onnx.) ONNX_COPY and PLAN_RUN are tests/bench/onnx_copy.c and plan_run.c built, DATA the
test data with models/. Each model is written three times, passes onnx.checker, and runs in ONNX Runtime
(graph optimisation off, one thread) on the same random input:
  copied    as it was read: the output must be the original file's, bit for bit
  passes    after inference and the passes that fold: the output must be the original's to 1e-4
  trained   after two steps of training in the engine: the output must be that of the engine's own plan
            of the same file to 1e-4, and not the original's (not done where nothing learns, as
            behind the roundings of a model of 8 bits)
(norm of the difference over norm, the largest over the outputs). A model that the engine does not read is
counted as refused. Status 1 when one differs. Last line:
    onnx: models=… same=… worst=… refused=…
"""
import os
import subprocess
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True  # nothing is left among the sources
import onnx
import onnxruntime

BOUND = 1e-4
STEPS = 2
SHAPES = {"fsrcnn_x2": [(1, 48, 64, 1)]}  # what a file leaves open is 1 otherwise


def find_models(data):
    folder = os.path.join(data, "models")
    return ["models/street_det/street_det.onnx"] + sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".onnx"))


def make_feed(session, name):
    """Masks are zeros: nothing is hidden."""
    random = numpy.random.default_rng(1)
    infos = session.get_inputs()
    shapes = SHAPES.get(name) or [tuple(d if isinstance(d, int) else 1 for d in info.shape)
                                  for info in infos]
    return {info.name: random.random(shape, numpy.float32) * ("mask" not in info.name)
            for info, shape in zip(infos, shapes)}


def open_checked(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def worst_error(got, wanted):
    """Infinite where types or shapes differ or a number is none."""
    worst = 0.0
    for ours, theirs in zip(got, wanted, strict=True):
        if (ours.shape != theirs.shape or ours.dtype != theirs.dtype
                or not numpy.isfinite(ours).all() or not numpy.isfinite(theirs).all()):
            return float("inf")
        difference = numpy.linalg.norm((ours.astype(float) - theirs.astype(float)).ravel())
        worst = max(worst, difference / (numpy.linalg.norm(theirs.astype(float).ravel()) + 1e-30))
    return worst


def run_plan(plan_run, path, feed, session, folder):
    command = [plan_run, "-d", "cpu:threads=1", "-o", os.path.join(folder, "out")]
    files = []
    for i, array in enumerate(feed.values()):
        files.append(os.path.join(folder, f"in.{i}"))
        array.tofile(files[-1])
        command += ["-s", "x".join(map(str, array.shape))]
    subprocess.run(command + [path] + files, check=True)
    return [numpy.fromfile(os.path.join(folder, f"out.{i}"), array.dtype).reshape(array.shape)
            for i, array in enumerate(session.run(None, feed))]


def check(copy, plan_run, path, name, folder):
    """Whether the copy gives the same bits; the errors with passes and after training."""
    original = open_checked(path)
    feed = make_feed(original, name)
    wanted = original.run(None, feed)
    shapes = [part for array in feed.values() for part in ("-s", "x".join(map(str, array.shape)))]
    written = {"copied": [], "passes": ["-p"] + shapes, "trained": ["-t", str(STEPS)] + shapes}
    sessions = {}
    for what, flags in written.items():
        file = os.path.join(folder, what + ".onnx")
        done = subprocess.run([copy] + flags + [path, file], capture_output=True, text=True)
        if done.returncode and what == "copied":
            return done.stderr.strip()
        if what == "trained" and "nothing learns" in done.stderr:
            break
        if done.returncode:
            sys.exit(f"onnx_ort: {name}: {what}: {done.stderr.strip()}")
        sessions[what] = open_checked(file)
        for ends in ("get_inputs", "get_outputs"):
            names = [[info.name for info in getattr(s, ends)()] for s in (original, sessions[what])]
            if names[0] != names[1]:
                sys.exit(f"onnx_ort: {name}: {what}: {names[1]} instead of {names[0]}")
    same = all(numpy.array_equal(a, b) for a, b in zip(sessions["copied"].run(None, feed), wanted,
                                                       strict=True))
    passes = worst_error(sessions["passes"].run(None, feed), wanted)
    if "trained" not in sessions:
        return same, passes, None
    changed = sessions["trained"].run(None, feed)
    if worst_error(changed, wanted) < 10 * BOUND:
        sys.exit(f"onnx_ort: {name}: training changed nothing")
    ours = run_plan(plan_run, os.path.join(folder, "trained.onnx"), feed, sessions["trained"], folder)
    return same, passes, worst_error(ours, changed)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    copy, plan_run, data = sys.argv[1:]
    same, worst, refused, wrong, count = 0, 0.0, 0, 0, 0
    for path in find_models(data):
        name = os.path.basename(path).removesuffix(".onnx")
        with tempfile.TemporaryDirectory() as folder:
            result = check(copy, plan_run, path, name, folder)
        if isinstance(result, str):
            refused += 1
            print(f"{name}: refused: {result}", flush=True)
            continue
        bits, passes, trained = result
        errors = [passes] if trained is None else [passes, trained]
        good = bits and max(errors) < BOUND
        count, same, wrong = count + 1, same + bits, wrong + (not good)
        worst = max(worst, *errors)
        print(f"{name}: {'good' if good else 'WRONG'}: copied={'same' if bits else 'different'} "
              f"passes={passes:.1e} trained={'-' if trained is None else f'{trained:.1e}'}", flush=True)
    if wrong:
        print(f"onnx_ort: {wrong} models differ", file=sys.stderr)
    print(f"onnx: models={count} same={same} worst={worst:.1e} refused={refused}")
    sys.exit(1 if wrong else 0)


main()
