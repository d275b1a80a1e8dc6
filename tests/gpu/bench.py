#!/usr/bin/env python3
"""Times networks on a GPU: our plan in f16 and PyTorch on the same ONNX file, in turn.

    bench.py BUNDLE RESULTS

(make bench-gpu.) PyTorch runs in half precision with channels last, its convolutions chosen by trying, the whole
network in a CUDA graph; as it is and compiled by torch.compile, and the faster of the two counts. Both
take f32 in the layout of the file and give f32. Two times are told: on the device alone, which the
geometric means are of, and from the host's memory to the host's memory. Rounds take turns; a time is
the median over rounds of the median in a round.

Tables by step go to RESULTS/NAME-bBATCH.txt (plan_print), with shares of the peaks that are measured
before each. What has not begun after SECONDS_MAX is left out, and said. Last line:

    gpu: geomean_b1=… geomean_b8=… geomean_b32=… restore_peak=… kernels_bandwidth=…

geomean: our time over PyTorch's. restore_peak: which share of the peak, by the steps' arithmetic or bytes, restoration
networks reach; kernels_bandwidth: the same of own kernels' steps; both at the largest batch.
"""
import math
import os
import re
import statistics
import subprocess
import sys
import time

import torch
from onnx_torch import OnnxModule, read_data, read_list, worst_error

SECONDS_MAX = float(os.environ.get("SECONDS_MAX", "500"))
COMPILE_SECONDS = 0.75 * SECONDS_MAX  # after which nothing more is compiled
BATCHES = (1, 8, 32)
ROUNDS = 7
ROUND_SECONDS = 0.04
RUNS_MAX = 200
TABLE_RUNS = 20
PEER_BOUND = 2e-2  # how far PyTorch in half precision may be from the reference
LIBRARIES = ("cudnn", "cublas")

# Name, file in the tree or the bundle, channels, height, width, largest batch (files may fix it).
NETWORKS = [
    ("street_det", "models/street_det/street_det.onnx", 3, 384, 512, 32),
    ("camvid_segment", "models/camvid_segment/camvid_segment.onnx", 3, 360, 480, 32),
    ("restore_generic_x2", "models/restore/generic_x2.onnx", 3, 540, 960, 32),
    ("restore_generic_x4", "models/restore/generic_x4.onnx", 3, 270, 480, 32),
    ("yolox_nano", "models/yolox_nano.onnx", 3, 416, 416, 32),
    ("restore_generic_x1", "models/restore/generic_x1.onnx", 3, 540, 960, 32),
    ("restore_generic_x3", "models/restore/generic_x3.onnx", 3, 360, 640, 32),
    ("ultraface_rfb320", "models/ultraface_rfb320.onnx", 3, 240, 320, 32),
    ("twinlitenet", "models/twinlitenet.onnx", 3, 360, 640, 1),
    ("fastestdet", "models/fastestdet.onnx", 3, 352, 352, 1),
]


class Left(Exception):
    """A network, or a batch of it, that is left out, and why."""


class Ours:
    """tests/gpu/plan_time.c, which keeps a plan and answers lines."""

    def __init__(self, bundle, path, shape):
        environment = {**os.environ, "LD_LIBRARY_PATH": os.environ.get("GPU_LIBRARIES", "")}
        self.process = subprocess.Popen(
            [os.path.join(bundle, "bin", "plan_time"), "cuda", "f16", "x".join(map(str, shape)), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment)
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Left(f"ours failed: {self.process.stderr.read().strip()}")
        return line

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def run(self, runs):
        """Device and whole time, ms."""
        found = re.match(r"whole_ms=([\d.]+) device_ms=([\d.]+)", self.ask(f"run {runs}"))
        return float(found.group(2)), float(found.group(1))

    def table(self):
        lines = [self.ask(f"table {TABLE_RUNS}")]
        while lines[-1] != "end\n":
            lines.append(self.read())
        return "".join(lines[:-1])

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


class Peer:
    """A function of PyTorch's in a CUDA graph; without a GPU, to try the script, plainly."""

    def __init__(self, function, shape, cuda):
        self.cuda = cuda
        device = "cuda" if cuda else "cpu"
        self.host = torch.rand(shape)
        self.host = self.host.pin_memory() if cuda else self.host
        self.input = self.host.to(device)
        self.function = function
        with torch.no_grad():
            for _ in range(3):
                self.outputs = self.forward()
            if cuda:
                torch.cuda.synchronize()
                self.graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self.graph):
                    self.outputs = self.forward()
        self.results = [torch.empty_like(output, device="cpu", pin_memory=cuda) for output in self.outputs]
        self.marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if cuda else None

    def forward(self):
        x = self.input.to(torch.float16 if self.cuda else torch.float32, memory_format=torch.channels_last)
        return tuple(output.float().contiguous() for output in self.function(x))

    def replay(self):
        if self.cuda:
            self.graph.replay()
        else:
            with torch.no_grad():
                self.outputs = self.forward()

    def run_device(self):
        if not self.cuda:
            start = time.perf_counter()
            self.replay()
            return (time.perf_counter() - start) * 1e3
        self.marks[0].record()
        self.replay()
        self.marks[1].record()
        self.marks[1].synchronize()
        return self.marks[0].elapsed_time(self.marks[1])

    def run_whole(self):
        start = time.perf_counter()
        self.input.copy_(self.host, non_blocking=True)
        self.replay()
        for result, output in zip(self.results, self.outputs):
            result.copy_(output, non_blocking=True)
        if self.cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3

    def run(self, runs):
        whole = statistics.median(self.run_whole() for _ in range(runs))
        return statistics.median(self.run_device() for _ in range(runs)), whole


def load_module(path, shape, cuda):
    module = OnnxModule(path, [shape]).eval()
    return module.half().cuda().to(memory_format=torch.channels_last) if cuda else module


def check_peer(bundle, name, cuda):
    """A peer that computes something else is none: PyTorch in half precision beside the reference."""
    for words in read_list(bundle):
        if words["name"] != name or len(words["shapes"]) != 1:
            continue
        module = load_module(words["path"], words["shapes"][0], cuda)
        x = read_data(bundle, name, "in", words["shapes"])[0]
        with torch.no_grad():
            error = worst_error(module(x.half().cuda() if cuda else x), bundle, name)
        if not error <= PEER_BOUND:
            raise Left(f"PyTorch is {error:.1e} off")
        return
    raise Left("not in the bundle")


def make_peer(path, shape, cuda, begun):
    """The faster of the plain and the compiled module, and which it is."""
    module = load_module(path, shape, cuda)
    plain = Peer(module, shape, cuda)
    if not cuda or time.monotonic() - begun > COMPILE_SECONDS:
        return plain, "plain"
    try:
        torch.compiler.reset()
        compiled = Peer(torch.compile(module, dynamic=False), shape, cuda)
    except Exception as failure:  # of any kind: it is PyTorch's to say what it cannot compile
        print(f"bench: torch.compile: {str(failure).splitlines()[0][:200]}", flush=True)
        return plain, "plain"
    times = [statistics.median(peer.run_device() for _ in range(10)) for peer in (plain, compiled)]
    return (compiled, "compiled") if times[1] < times[0] else (plain, "plain")


def measure(bundle, name, path, shape, cuda, begun, results):
    """Times of ours and theirs on the device and on the whole, ms; how theirs ran; our table."""
    ours = Ours(bundle, path, shape)
    try:
        theirs, kind = make_peer(path, shape, cuda, begun)
        first = max(ours.run(3)[1], theirs.run(3)[1])
        runs = max(3, min(RUNS_MAX, int(ROUND_SECONDS * 1e3 / first)))
        rounds = [(ours.run(runs), theirs.run(runs)) for _ in range(ROUNDS)]
        table = ours.table()
    except torch.OutOfMemoryError as failure:
        raise Left("PyTorch has no memory left") from failure
    finally:
        ours.close()
    with open(os.path.join(results, f"{name}-b{shape[0]}.txt"), "w", encoding="utf-8") as file:
        file.write(f"{name} {shape}: {ours.ready}{table}")
    medians = [statistics.median(round[side][column] for round in rounds)
               for column in range(2) for side in range(2)]
    return medians, kind, table


STEP = re.compile(r"^(?P<op>\S+) +\S+ +\S+ +(?P<how>\S.*?) +(?P<us>[\d.]+) +[\d.]+% +\S+ +[\d.]+ [KMGT]?i?B +"
                  r"(?P<share>\d+)% (?P<by>flop|bytes)  ")
TOTAL = re.compile(r"^\d+ steps .* (\d+)% +weights ")


def read_table(table):
    """Steps as (op, implementation, us, share of peak), and the share of all."""
    steps, total = [], None
    for line in table.splitlines():
        step, sums = STEP.match(line), TOTAL.match(line)
        if step:
            steps.append((step["op"], step["how"], float(step["us"]), float(step["share"]) / 100))
        if sums:
            total = float(sums.group(1)) / 100
    return steps, total


def geomean(ratios):
    return f"{math.exp(statistics.fmean(map(math.log, ratios))):.3f}" if ratios else "-"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    bundle, results = sys.argv[1:]
    cuda, begun = torch.cuda.is_available(), time.monotonic()
    torch.backends.cudnn.benchmark = True
    os.makedirs(results, exist_ok=True)
    ratios = {batch: [] for batch in BATCHES}
    last_tables, failed, heading = {}, 0, None
    print(f"bench: PyTorch {torch.__version__}, {torch.cuda.get_device_name() if cuda else 'no GPU'}")
    for name, file, channels, height, width, batch_max in NETWORKS:
        inside = os.path.join(bundle, file)
        path = inside if os.path.exists(inside) else file
        try:
            if not os.path.exists(path):
                raise Left("there is no such file")
            if time.monotonic() - begun > SECONDS_MAX:
                raise Left("no time is left")
            check_peer(bundle, name, cuda)
        except Left as left:
            print(f"{name:20} left out: {left}", flush=True)
            continue
        for batch in (b for b in BATCHES if b <= batch_max):
            shape = [batch, channels, height, width]
            label = f"{name:20} {'x'.join(map(str, shape)):15}"
            if time.monotonic() - begun > SECONDS_MAX:
                print(f"{label} left out: no time is left")
                continue
            try:
                times, kind, table = measure(bundle, name, path, shape, cuda, begun, results)
            except Left as left:
                print(f"{label} left out: {left}", flush=True)
                failed += 1
                continue
            if heading is None:
                heading = [line for line in table.splitlines() if line.startswith(("cuda, ", "peak "))]
                print("\n".join(heading))
                print(f"{'network':20} {'shape':15} device: ours  PyTorch ratio   whole: ours  PyTorch ratio")
            print(f"{label} {times[0]:12.3f} {times[1]:8.3f} {times[0] / times[1]:5.2f}  {times[2]:12.3f} "
                  f"{times[3]:8.3f} {times[2] / times[3]:5.2f}  {kind}", flush=True)
            ratios[batch].append(times[0] / times[1])
            last_tables[name] = read_table(table)
            if cuda:
                torch.cuda.empty_cache()
    report(ratios, last_tables)
    sys.exit(1 if failed else 0)


def report(ratios, tables):
    own = [(us, share) for steps, _ in tables.values() for _, how, us, share in steps
           if not how.startswith(LIBRARIES)]
    bandwidth = sum(us * share for us, share in own) / sum(us for us, _ in own) if own else None
    restore = [total for name, (_, total) in tables.items() if name.startswith("restore") and total is not None]
    for name, (steps, total) in tables.items():
        slow = sorted(steps, key=lambda step: step[2] * (1 - step[3]), reverse=True)[:3]
        print(f"{name}: {100 * (total or 0):.0f}% of peak; most to gain in",
              ", ".join(f"{op} by {how} ({us:.0f} us, {100 * share:.0f}%)" for op, how, us, share in slow))
    print("gpu: " + " ".join(f"geomean_b{batch}={geomean(found)}" for batch, found in ratios.items()) +
          f" restore_peak={f'{statistics.fmean(restore):.2f}' if restore else '-'}"
          f" kernels_bandwidth={'-' if bandwidth is None else f'{bandwidth:.2f}'}")


main()
