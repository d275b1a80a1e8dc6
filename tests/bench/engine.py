#!/usr/bin/env python3
"""The engine beside ONNX Runtime and OpenVINO, every model of the test data and the default detector.

    engine.py PROGRAMS VIDEO DATA ORT_PYTHON OPENVINO_PYTHON

(make bench-engine.) PROGRAMS is the folder with tests/bench/plan_run.c and onnx_copy.c built, VIDEO is
vtest.avi, DATA the test data with clips/ and models/, then a Python with onnxruntime and one with openvino.
Frames come from the ffmpeg command line, prepared as each model's text file says.

Right: an error is the norm of the difference over the norm, the largest over the outputs. In f32 it is
against ONNX Runtime with graph optimisation off, over all frames, 1e-4 at most, or the status is 1. bf16x3 is
f32-accurate where it is within 1e-4 of the reference kernels in doubles on the first frame; where it is not, or
where a processor has none, the time in f32 counts in its place.

Fast: each contender is a process of its own with THREADS threads. In a round each has one turn, and all others
are stopped by SIGSTOP meanwhile, so that nobody's threads spin beside another's run. A turn is one run that
does not count and then about TURN_MS worth of runs; its median counts. A time is the median over the rounds, a
ratio the median of the rounds' ratios, ours over theirs. Batch 8: the file made one for eight pictures by
the engine (graph_set_batch), the same file for both sides. Memory: by how much a fresh process has grown at
most from before it reads the model to behind its first run in f32, libraries not counted. Last line (n/a
where the processor has no bf16):
    engine: geomean_f32=… worst_f32=… geomean_bf16x3=… geomean_bf16=… geomean_batch8=… memory=… openvino_f32=…
            openvino_bf16=…
all but the last two over ONNX Runtime in f32.
"""
import argparse
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True  # nothing is left among the sources
import engine_models

BOUND = 1e-4
THREADS = 2
ROUNDS = 9
ROUNDS_BATCH = 5
TURN_MS = 150
PICTURES = 8
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine_peer.py")

# As the server's workers are started (calm_threads in cloud-server/main.c).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


class Refused(Exception):
    """Our words when the engine refuses a model."""


class Contender:
    """A process that has loaded a model and run it once, stopped but in its turns."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            words = self.process.stderr.read().strip()
            if self.process.wait() == 1 and "plan_run" in command[0]:
                raise Refused(words)
            sys.exit(f"engine: {' '.join(command)}: {words}")
        self.grown_bytes = int(line.removeprefix("grown_bytes="))
        self.run(1)
        self.count = max(3, min(2000, round(TURN_MS / self.run(3))))
        self.process.send_signal(signal.SIGSTOP)

    def take_turn(self):
        self.process.send_signal(signal.SIGCONT)
        self.run(1)
        time_ms = self.run(self.count)
        self.process.send_signal(signal.SIGSTOP)
        return time_ms

    def run(self, count):
        print(count, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"engine: {self.process.args[0]}: {self.process.stderr.read().strip()}")
        return float(re.search(r"median_ms=([\d.]+)", line).group(1))

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """Where programs are, and a folder for what passes between them."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder

    def ours(self, path, precision, files, *flags):
        """The command of our side; the sizes of the inputs are those of the files."""
        command = [os.path.join(self.arguments.programs, "plan_run"), "-d", f"cpu:threads={THREADS}",
                   "-a", precision, *flags]
        for file in files:
            command += ["-s", shape_word(numpy.load(file, mmap_mode="r").shape)]
        return command + [path] + [file.removesuffix(".npy") for file in files]

    def theirs(self, kind, precision, path, files, prefix):
        python = self.arguments.ort if kind == "onnxruntime" else self.arguments.openvino
        return [python, PEER, kind, precision, str(THREADS), path, prefix, *files]

    def save(self, arrays, name):
        """As .npy for Python, and without that ending as raw numbers."""
        files = [os.path.join(self.folder, f"{name}.{i}.npy") for i in range(len(arrays))]
        for array, file in zip(arrays, files):
            numpy.save(file, array)
            array.tofile(file.removesuffix(".npy"))
        return files

    def expected(self, path, files):
        """ONNX Runtime's outputs without graph optimisation."""
        prefix = os.path.join(self.folder, "plain")
        subprocess.run(self.theirs("onnxruntime", "plain", path, files, prefix), check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        arrays = []
        while os.path.exists(f"{prefix}.{len(arrays)}.npy"):
            arrays.append(numpy.load(f"{prefix}.{len(arrays)}.npy"))
            os.remove(f"{prefix}.{len(arrays) - 1}.npy")
        return arrays

    def outputs(self, path, precision, files, like):
        """Ours, or None where the processor does not have the precision."""
        prefix = os.path.join(self.folder, "out")
        done = subprocess.run(self.ours(path, precision, files, "-o", prefix), stderr=subprocess.PIPE,
                              text=True)
        if done.returncode == 1 and "no bf16" in done.stderr:
            return None
        if done.returncode == 1:
            raise Refused(done.stderr.strip())
        if done.returncode:
            sys.exit(f"engine: {path}: plan_run ended with {done.returncode}: {done.stderr.strip()}")
        wide = numpy.float64 if precision == "f64" else None
        return [numpy.fromfile(f"{prefix}.{i}", wide or array.dtype).reshape(array.shape)
                for i, array in enumerate(like)]

    def check(self, path, frames):
        """The errors in f32 against ONNX Runtime, and of f32, bf16x3 and bf16 against doubles."""
        errors = {"ort": 0.0, "steps": 0, "other_classes": 0}
        for files in reversed(frames):
            like = self.expected(path, files)
            f32 = self.outputs(path, "f32", files, like)
            errors["ort"] = max(errors["ort"], worst_error(f32, like))
            errors["steps"] = max(errors["steps"], worst_steps(f32[0], like[0]))
            errors["other_classes"] += int(f32[0].argmax() != like[0].argmax())
        try:
            wide = self.outputs(path, "f64", files, like)
        except Refused as refusal:  # doubles are for checks, and not every op has them
            print(f"engine: {path}: {refusal}; compared with f32", file=sys.stderr)
            wide = f32
        errors["f32"] = worst_error(f32, wide)
        for precision in ("bf16x3", "bf16"):
            got = self.outputs(path, precision, files, like)
            errors[precision] = None if got is None else worst_error(got, wide)
        return errors

    def race(self, commands, rounds):
        """Each contender's time in each round, and its memory. A precision that is not there is left out."""
        contenders, times = {}, {}
        for name, command in commands.items():
            contenders[name] = Contender(command)
            times[name] = []
        for _ in range(rounds):
            for name, contender in contenders.items():
                times[name].append(contender.take_turn())
        for contender in contenders.values():
            contender.end()
        return times, {name: contender.grown_bytes for name, contender in contenders.items()}

    def race_one(self, path, files, bf16):
        commands = {"f32": self.ours(path, "f32", files, "-i"),
                    "ort": self.theirs("onnxruntime", "f32", path, files, os.path.join(self.folder, "o")),
                    "ov": self.theirs("openvino", "f32", path, files, os.path.join(self.folder, "v"))}
        if bf16:
            commands |= {"bf16x3": self.ours(path, "bf16x3", files, "-i"),
                         "bf16": self.ours(path, "bf16", files, "-i"),
                         "ov_bf16": self.theirs("openvino", "bf16", path, files,
                                                os.path.join(self.folder, "w"))}
        return self.race(commands, ROUNDS)

    def race_batch(self, path, arrays):
        """None for a model that does not take several pictures."""
        several = os.path.join(self.folder, "several.onnx")
        command = [os.path.join(self.arguments.programs, "onnx_copy"), "-n", str(PICTURES)]
        for array in arrays:
            command += ["-s", shape_word(array.shape)]
        done = subprocess.run(command + [path, several], stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"engine: {path}: no batch: {done.stderr.strip()}", file=sys.stderr)
            return None
        files = self.save([numpy.repeat(array, PICTURES, 0) for array in arrays], "several")
        return self.race({"f32": self.ours(several, "f32", files, "-i"),
                          "ort": self.theirs("onnxruntime", "f32", several, files,
                                             os.path.join(self.folder, "o"))}, ROUNDS_BATCH)[0]


def shape_word(shape):
    return "x".join(map(str, shape))


def worst_error(got, wanted):
    """Infinite where a number is none."""
    worst = 0.0
    for ours, right in zip(got, wanted, strict=True):
        difference = numpy.linalg.norm(ours.astype(float) - right)
        error = difference / (numpy.linalg.norm(right.astype(float)) + 1e-30)
        worst = max(worst, float(error)) if math.isfinite(error) else math.inf
    return worst


def worst_steps(got, wanted):
    """In steps of an output of 8 bits, the least difference between two of its numbers."""
    gaps = numpy.diff(numpy.unique(wanted))
    return round(float(numpy.abs(got - wanted).max() / gaps.min())) if gaps.size else 0


def ratio(times, ours, theirs):
    return statistics.median(a / b for a, b in zip(times[ours], times[theirs]))


def geomean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None


def word(number, form="{:.2f}"):
    return "n/a" if number is None else form.format(number)


COLUMNS = [("f32 ms", 8), ("ort", 8), ("ratio", 6), ("ov", 8), ("ratio", 6), ("bf16x3", 8), ("/ort", 6),
           ("bf16", 8), ("/ort", 6), ("ov bf16", 8), ("ratio", 6), ("batch8", 8), ("ort", 8), ("ratio", 6),
           ("MiB", 6), ("ort", 6), ("ratio", 6), ("err f32", 8), ("bf16x3", 8), ("bf16", 8)]


def print_line(name, size, cells):
    print(f"{name:17}{size:14}" + "".join(f"{cell:>{width}}" for cell, (_, width) in
                                           zip(cells, COLUMNS)), flush=True)


def bench_model(bench, path, recipe):
    """The ratios by the names of the last line; prints a line of the table."""
    arguments = bench.arguments
    batches = [engine_models.prepare(frame, recipe)
               for frame in engine_models.read_frames(recipe, arguments.video, arguments.data)]
    frames = [bench.save(arrays, f"in{number}") for number, arrays in enumerate(batches)]
    errors = bench.check(path, frames)
    bf16 = errors["bf16"] is not None
    times, grown = bench.race_one(path, frames[0], bf16)
    batch = bench.race_batch(path, batches[0])
    exact = bf16 and errors["bf16x3"] <= BOUND
    ratios = {"f32": ratio(times, "f32", "ort"),
              "bf16x3": ratio(times, "bf16x3" if exact else "f32", "ort") if bf16 else None,
              "bf16": ratio(times, "bf16", "ort") if bf16 else None,
              "batch8": ratio(batch, "f32", "ort") if batch else None,
              "memory": grown["f32"] / grown["ort"],
              "openvino_f32": ratio(times, "f32", "ov"),
              "openvino_bf16": ratio(times, "bf16", "ov_bf16") if bf16 else None}
    ms = {name: statistics.median(values) for name, values in times.items()}
    batch_ms = {name: statistics.median(values) for name, values in (batch or {}).items()}
    print_line(os.path.basename(path).removesuffix(".onnx"), shape_word(batches[0][0].shape), [
        word(ms["f32"]), word(ms["ort"]), word(ratios["f32"]), word(ms["ov"]),
        word(ratios["openvino_f32"]), word(ms.get("bf16x3")), word(ratios["bf16x3"]),
        word(ms.get("bf16")), word(ratios["bf16"]), word(ms.get("ov_bf16")),
        word(ratios["openvino_bf16"]), word(batch_ms.get("f32")), word(batch_ms.get("ort")),
        word(ratios["batch8"]), word(grown["f32"] / 2**20, "{:.0f}"), word(grown["ort"] / 2**20, "{:.0f}"),
        word(ratios["memory"]), word(errors["ort"], "{:.1e}"), word(errors["bf16x3"], "{:.1e}"),
        word(errors["bf16"], "{:.1e}")])
    quantised = os.path.basename(path).removesuffix(".onnx") in engine_models.QUANTISED
    if quantised:
        print(f"  8 bits: {errors['steps']} output steps off ONNX Runtime without optimisation (target 2), another "
              f"best class on {errors['other_classes']} of {len(frames)} frames (target 0)")
    elif bf16 and not exact:
        print(f"  its bf16x3 is not f32-accurate: {errors['bf16x3']:.1e}; f32 counts in its place")
    return ratios, 0.0 if quantised else errors["ort"]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("programs", "video", "data", "ort", "openvino"):
        parser.add_argument(name)
    parser.add_argument("--only", help="a part of a model's name")
    return parser.parse_args()


def processor():
    with open("/proc/cpuinfo") as file:
        text = file.read()
    fields = {key.strip(): value.strip() for key, value in
              (line.split(":", 1) for line in text.splitlines() if ":" in line)}
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in fields["flags"].split()]
    return (f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']}), "
            f"{' '.join(units)}, {os.cpu_count()} cores")


def main():
    arguments = read_arguments()
    folder = os.path.join(arguments.data, "models")
    paths = ["models/street_det/street_det.onnx"]
    paths += sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".onnx"))
    print(f"{processor()}, {THREADS} threads")
    print_line("model", "input", [head for head, _ in COLUMNS])
    found, wrong = [], 0
    for path in paths:
        name = os.path.basename(path).removesuffix(".onnx")
        if arguments.only and arguments.only not in name:
            continue
        if name not in engine_models.RECIPES:
            sys.exit(f"engine: {path}: how to prepare a frame for it is not in RECIPES")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                ratios, error = bench_model(Bench(arguments, scratch), path, engine_models.RECIPES[name])
            except Refused as refusal:
                print(f"{name}: refused: {refusal}", flush=True)
                continue
        found.append(ratios)
        if not error <= BOUND:
            wrong += 1
            print(f"{name}: WRONG: f32 is {error:.1e} off ONNX Runtime", flush=True)
    if wrong:
        print(f"engine: {wrong} models differ by more than {BOUND}", file=sys.stderr)
    mean = {key: geomean([r[key] for r in found if r[key] is not None]) for key in found[0]}
    print(f"engine: geomean_f32={word(mean['f32'])} worst_f32={word(max(r['f32'] for r in found))} "
          f"geomean_bf16x3={word(mean['bf16x3'])} geomean_bf16={word(mean['bf16'])} "
          f"geomean_batch8={word(mean['batch8'])} memory={word(mean['memory'])} "
          f"openvino_f32={word(mean['openvino_f32'])} openvino_bf16={word(mean['openvino_bf16'])}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
