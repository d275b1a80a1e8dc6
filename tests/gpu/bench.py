#!/usr/bin/env python3
"""Times networks on a GPU: our plan in f16 and PyTorch on the same ONNX file, in turn.

    bench.py BUNDLE RESULTS END GRACE

(make bench-gpu.) PyTorch runs in half precision with channels last, its convolutions chosen by trying, the whole
network in a CUDA graph; as it is and compiled by torch.compile, and the faster of the two counts. Both
take f32 in the layout of the file and give f32. Two times are told: on the device alone, which the
geometric means are of, and from the host's memory to the host's memory. Rounds take turns; a time is
the median over rounds of the median in a round.

The product's main networks come first, at batches of 1, 8 and 32, then the others. Tables by step go to
RESULTS/NAME-bBATCH.txt (plan_print), with shares of the peaks that are measured before each; what the ladders of
own kernels say to RESULTS/kernels.txt. END is in seconds since 1970: what has not begun by then is left out, and
said; GRACE seconds later it ends amid whatever it does. Last line, in any case:

    gpu: geomean_b1=… geomean_b8=… geomean_b32=… restore_peak=… kernels_bandwidth=…

geomean: our time over PyTorch's. restore_peak: which share of the peak, by the steps' arithmetic or bytes, restoration
networks reach, at the largest batch that was timed. kernels_bandwidth: the least share of a copy's bandwidth that
an own kernel reaches on a shape of a real model. Status 3: something failed, or was cut off.
"""
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback

import torch
from onnx_torch import OnnxModule, read_data, read_list, worst_error

READY_SECONDS = 90  # for a plan of ours to be made
COMPILE_SECONDS = 60  # for torch.compile
COMPILE_LEFT_SECONDS = 120  # with less left than that, nothing more is compiled
LADDER_SECONDS = 90
STATUS_FAILED = 3
BATCHES = (1, 8, 32)
ROUNDS = 7
ROUND_SECONDS = 0.04
RUNS_MAX = 200
TABLE_RUNS = 20
PEER_BOUND = 2e-2  # how far PyTorch in half precision may be from the reference

# Name, file in the tree or the bundle, channels, height, width, largest batch (files may fix it).
MAIN_NETWORKS = [
    ("street_det", "models/street_det/street_det.onnx", 3, 384, 512, 32),
    ("camvid_segment", "models/camvid_segment/camvid_segment.onnx", 3, 360, 480, 32),
    ("restore_generic_x2", "models/restore/generic_x2.onnx", 3, 540, 960, 32),
    ("restore_generic_x4", "models/restore/generic_x4.onnx", 3, 270, 480, 32),
]
OTHER_NETWORKS = [
    ("yolox_nano", "models/yolox_nano.onnx", 3, 416, 416, 32),
    ("ultraface_rfb320", "models/ultraface_rfb320.onnx", 3, 240, 320, 32),
    ("restore_generic_x1", "models/restore/generic_x1.onnx", 3, 540, 960, 32),
    ("restore_generic_x3", "models/restore/generic_x3.onnx", 3, 360, 640, 32),
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
        patience = threading.Timer(READY_SECONDS, self.process.kill)
        patience.start()
        try:
            self.ready = self.read()
        finally:
            patience.cancel()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            why = self.process.stderr.read().strip() or f"ended with {self.process.returncode}"
            raise Left(f"ours failed: {why}")
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


def make_peer(bundle, name, path, shape, cuda, seconds_left):
    """The faster of the plain and the compiled module, and which it is."""
    check_peer(bundle, name, cuda)
    module = load_module(path, shape, cuda)
    plain = Peer(module, shape, cuda)
    if not cuda or seconds_left < COMPILE_LEFT_SECONDS:
        return plain, "plain, not compiled"
    signal.alarm(COMPILE_SECONDS)
    try:
        torch.compiler.reset()
        compiled = Peer(torch.compile(module, dynamic=False), shape, cuda)
    except Exception as failure:  # of any kind: it is PyTorch's to say what it cannot compile
        print(f"bench: torch.compile: {(str(failure).splitlines() or [''])[0][:200]}", flush=True)
        return plain, "plain, not compiled"
    finally:
        signal.alarm(0)
    times = [statistics.median(peer.run_device() for _ in range(10)) for peer in (plain, compiled)]
    return (compiled, "compiled") if times[1] < times[0] else (plain, "plain")


def stop_compiling(_number, _frame):
    raise TimeoutError(f"takes more than {COMPILE_SECONDS} seconds")


def try_peer(*args):
    """As make_peer; without one, what kept it away: our own times are told all the same."""
    try:
        return make_peer(*args)
    except torch.OutOfMemoryError:
        return None, "PyTorch has no memory left"
    except Exception as failure:
        return None, f"no PyTorch: {(str(failure).splitlines() or [''])[0][:200]}"


def time_in_turn(ours, theirs):
    """Device times of ours and theirs, then whole ones, ms; None for theirs where there is none."""
    sides = [side for side in (ours, theirs) if side]
    first = max(side.run(3)[1] for side in sides)
    runs = max(3, min(RUNS_MAX, int(ROUND_SECONDS * 1e3 / first)))
    rounds = [[side.run(runs) for side in sides] for _ in range(ROUNDS)]
    medians = [[statistics.median(times[column] for times in side) for column in range(2)]
               for side in zip(*rounds)]
    return [medians[side][column] if side < len(medians) else None
            for column in range(2) for side in range(2)]


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


def describe_table(table):
    steps, total = read_table(table)
    slow = sorted(steps, key=lambda step: step[2] * (1 - step[3]), reverse=True)[:3]
    return f"{100 * (total or 0):.0f}% of peak; most to gain in " + ", ".join(
        f"{op} by {how} ({us:.0f} us, {100 * share:.0f}%)" for op, how, us, share in slow)


def geomean(ratios):
    return f"{math.exp(statistics.fmean(map(math.log, ratios))):.3f}" if ratios else "-"


def number(value):
    return "-" if value is None else f"{value:.3f}"


class Bench:
    """What is to be timed, and what has been found."""

    def __init__(self, bundle, results, end):
        self.bundle, self.results, self.end = bundle, results, end
        self.cuda = torch.cuda.is_available()
        self.ratios = {batch: [] for batch in BATCHES}
        self.restore = {}  # share of the peak by name, at the largest batch
        self.bandwidth = None
        self.failed = 0
        self.process = None  # of ours, under way
        self.told_peaks = False

    def run(self):
        print(f"bench: PyTorch {torch.__version__}, {torch.cuda.get_device_name() if self.cuda else 'no GPU'}\n"
              f"{'network':20} {'shape':15} device: ours  PyTorch ratio   whole: ours  PyTorch ratio", flush=True)
        for networks in (MAIN_NETWORKS, OTHER_NETWORKS):
            for batch in BATCHES:
                for network in networks:
                    self.time_network(network, batch)
                if networks is MAIN_NETWORKS and batch == BATCHES[0]:
                    self.run_ladders()
                print(f"so far: {self.last_line()}", flush=True)

    def time_network(self, network, batch):
        name, file, channels, height, width, batch_max = network
        if batch > batch_max:
            return
        shape = [batch, channels, height, width]
        label = f"{name:20} {'x'.join(map(str, shape)):15}"
        inside = os.path.join(self.bundle, file)
        path = inside if os.path.exists(inside) else file
        if not os.path.exists(path):
            print(f"{label} left out: there is no such file")
        elif time.time() > self.end:
            print(f"{label} left out: no time is left")
        else:
            try:
                self.measure(name, path, shape, label)
            except Left as left:
                print(f"{label} left out: {left}", flush=True)
                self.failed += 1
            if self.cuda:
                torch.cuda.empty_cache()

    def measure(self, name, path, shape, label):
        ours = Ours(self.bundle, path, shape)
        self.process = ours.process
        try:
            theirs, kind = try_peer(self.bundle, name, path, shape, self.cuda, self.end - time.time())
            times = time_in_turn(ours, theirs)
            self.tell(label, times, kind)
            table = ours.table()
        finally:
            ours.close()
        with open(os.path.join(self.results, f"{name}-b{shape[0]}.txt"), "w", encoding="utf-8") as file:
            file.write(f"{name} {shape}: {ours.ready}{table}")
        if not self.told_peaks:
            print("\n".join(line for line in table.splitlines() if line.startswith(("cuda, ", "peak "))))
            self.told_peaks = True
        print(f"{'':20} {describe_table(table)}", flush=True)
        if theirs:
            self.ratios[shape[0]].append(times[0] / times[1])
        else:
            self.failed += 1
        if name.startswith("restore") and read_table(table)[1] is not None:
            self.restore[name] = read_table(table)[1]

    def tell(self, label, times, kind):
        columns = [number(times[0] / times[1] if times[1] else None), number(times[2] / times[3] if times[3] else None)]
        print(f"{label} {number(times[0]):>12} {number(times[1]):>8} {columns[0]:>5}  {number(times[2]):>12} "
              f"{number(times[3]):>8} {columns[1]:>5}  {kind}", flush=True)

    def run_ladders(self):
        program = os.path.join(self.bundle, "bin", "cuda_kernels")
        if not os.path.exists(program) or time.time() > self.end:
            print("ladders of own kernels left out: " +
                  ("no time is left" if os.path.exists(program) else "not in the bundle"))
            return
        out = os.path.join(self.results, "kernels.txt")
        with open(out, "w", encoding="utf-8") as file:
            try:
                status = subprocess.run([program, "--time"], stdout=file, stderr=subprocess.STDOUT, check=False,
                                        timeout=LADDER_SECONDS).returncode
            except subprocess.TimeoutExpired:
                status = None
        with open(out, encoding="utf-8") as file:
            lines = file.read().splitlines()
        found = [line for line in lines if line.startswith("lab: ")] or lines[-1:] or ["nothing"]
        print(f"ladders of own kernels: {found[0]}", flush=True)
        self.failed += status != 0
        share = re.search(r" bandwidth=([\d.]+)", found[0])
        self.bandwidth = float(share.group(1)) if share else None

    def last_line(self):
        restore = f"{statistics.fmean(self.restore.values()):.2f}" if self.restore else "-"
        return ("gpu: " + " ".join(f"geomean_b{batch}={geomean(found)}" for batch, found in self.ratios.items()) +
                f" restore_peak={restore} kernels_bandwidth="
                f"{'-' if self.bandwidth is None else f'{self.bandwidth:.2f}'}")

    def end_now(self):
        """From another thread, whatever the first one waits for."""
        if self.process:
            self.process.kill()
        print(f"bench: cut off, as no time is left\n{self.last_line()}", flush=True)
        os._exit(STATUS_FAILED)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    bundle, results, end, grace = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    torch.backends.cudnn.benchmark = True
    os.makedirs(results, exist_ok=True)
    signal.signal(signal.SIGALRM, stop_compiling)
    bench = Bench(bundle, results, end)
    watch = threading.Timer(end + grace - time.time(), bench.end_now)
    watch.daemon = True
    watch.start()
    try:
        bench.run()
    except Exception:  # what has been found is told all the same
        traceback.print_exc()
        bench.failed += 1
    watch.cancel()
    print(bench.last_line(), flush=True)
    sys.exit(STATUS_FAILED if bench.failed else 0)


main()
