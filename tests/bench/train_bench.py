#!/usr/bin/env python3
"""Training steps per second of ours beside PyTorch's, two networks, three precisions.

    train_bench.py TRAIN_BENCH DETECTOR

(make bench-train; run by the Python that has torch.) TRAIN_BENCH is tests/bench/train_bench.c built,
DETECTOR the ONNX file of the frozen detector. First every setting of PyTorch is tried (memory layout,
autocast, torch.compile, malloc) and the fastest kept: of those in f32, and of all. Then both sides train
from the same weights on the same data, two threads each: ten steps, whose losses are compared, and then
rounds of a few steps in turn. A ratio is our rate over theirs, the median over the rounds: f32 and bf16x3
beside their fastest f32, bf16 beside their fastest of all. Losses in f32 or bf16x3 that are off by more
than LOSS_BOUND make the status 1. Last line:
    train: restore_f32=… restore_bf16x3=… restore_bf16=… segment_f32=… segment_bf16x3=… segment_bf16=…
"""
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
THREADS = 2
BATCH = {"restore": 16, "segment": 8}
WARM_UP, TRIED = 3, {"restore": 3, "segment": 9}
COMPARED, LOSS_BOUND = 10, 1e-4
ROUNDS, TURN = 7, {"restore": 2, "segment": 6}
SETTINGS = ["f32", "f32+last", "bf16", "bf16+last", "mixed", "mixed+last"]
STATUS_WITHOUT = 3  # of train_bench: the device does not have the precision

# Ours as the server's workers are started (cloud-server/main.c).
OURS = {"GOMP_SPINCOUNT": "1000"}
# Of theirs, for settings with the word "keep": glibc keeps what is freed, as every step takes the same
# memory again; worth up to 8 %, or nothing. All three together: without the first, the other two make
# glibc map every large block anew, which costs 25 %.
KEEP = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592",
        "MALLOC_TOP_PAD_": "268435456"}


class Failed(Exception):
    """What a side said when it ended, and its status."""


class Side:
    """A process that trains when told to, and waits."""

    def __init__(self, command, environment):
        self.stderr = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.stderr, text=True,
                                        env={**os.environ, **environment})
        self.title = self.read_line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.stderr.close()

    def read_line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.stderr.seek(0)
            said = [text for text in self.stderr.read().splitlines() if text.strip()]
            raise Failed(said[-1] if said else "it ended", self.process.returncode)
        return line.strip()

    def train(self, count):
        """count losses, and count times in ms."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the line below says why
        return [[float(number) for number in self.read_line().split()] for _ in range(2)]


def open_theirs(network, setting, detector):
    return Side([sys.executable, os.path.join(HERE, "train_peer.py"), network, setting, detector,
                 str(THREADS)], KEEP if "keep" in setting.split("+") else {})


def open_ours(program, network, precision, detector):
    return Side([program, network, precision, detector, f"cpu:threads={THREADS}"], OURS)


def try_setting(network, setting, detector, rates):
    """Puts the samples per second into rates, unless the setting does not work here."""
    try:
        with open_theirs(network, setting, detector) as side:
            side.train(WARM_UP)
            _, times_ms = side.train(TRIED[network])
    except Failed as failed:
        print(f"{network} PyTorch {setting}: not here: {failed.args[0]}", flush=True)
        return
    rates[setting] = BATCH[network] * 1e3 / statistics.median(times_ms)
    print(f"{network} {side.title} {setting}: {rates[setting]:.2f} samples/s", flush=True)


def find_best(network, detector):
    """Their fastest setting in f32, and of all."""
    rates = {}

    def best(begin=""):
        return max((s for s in rates if s.startswith(begin)), key=rates.get)
    for setting in SETTINGS:
        try_setting(network, setting, detector, rates)
    for word in ("+compile", "+keep"):
        for setting in (best("f32") + word, best("bf16") + word):
            try_setting(network, setting, detector, rates)
    return best("f32"), best()


def compare_losses(name, ours, theirs, bounded):
    """Whether the first losses are the same."""
    mine, others = (side.train(COMPARED)[0] for side in (ours, theirs))
    worst = max(abs(a - b) / abs(b) for a, b in zip(mine, others))
    good = worst <= LOSS_BOUND or not bounded
    print(f"{name}: losses of {COMPARED} steps differ by {worst:.1e} at most"
          f"{'' if good else ': TOO MUCH'}", flush=True)
    return good


def compare_rates(name, network, ours, theirs, setting):
    """Ours over theirs."""
    ratios, mine, others = [], [], []
    for _ in range(ROUNDS):
        mine.append(statistics.median(ours.train(TURN[network])[1]))
        others.append(statistics.median(theirs.train(TURN[network])[1]))
        ratios.append(others[-1] / mine[-1])
    rates = [BATCH[network] * 1e3 / statistics.median(times_ms) for times_ms in (mine, others)]
    ratio = statistics.median(ratios)
    print(f"{name}: {rates[0]:.2f} samples/s, PyTorch {setting} {rates[1]:.2f}: ratio {ratio:.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
    return ratio


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, detector = sys.argv[1:]
    results, good = [], True
    for network in ("restore", "segment"):
        best_f32, best = find_best(network, detector)
        for precision, setting in (("f32", best_f32), ("bf16x3", best_f32), ("bf16", best)):
            name, text = f"{network}_{precision}", "n/a"
            try:
                with open_ours(program, network, precision, detector) as ours, \
                        open_theirs(network, setting, detector) as theirs:
                    good &= compare_losses(name, ours, theirs, precision != "bf16")
                    text = f"{compare_rates(name, network, ours, theirs, setting):.2f}"
            except Failed as failed:
                said, status = failed.args
                print(f"{name}: n/a: {said}", flush=True)
                good &= status == STATUS_WITHOUT
            results.append(f"{name}={text}")
    print("train:", *results)
    sys.exit(0 if good else 1)


main()
