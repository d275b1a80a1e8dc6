"""Several evaluations of the same rungs as one: make bench-restore-folds.

    restore_folds.py FOLDER…

Each FOLDER is the `out` of a cloud-server eval of label maps, of other pictures, maybe with other networks of the
same names. The counts of all their pictures are put together, arm by arm, and the figures are made of
these as eval makes them (cloud-server/evaluate/scores.h). An arm's gains are those against bicubic at its rung, at
full size against none. Gains in the last line are the smaller of those of the aware networks at two bitrates.
"""

import json
import math
import sys

LAST_LINE = (("x4", "120x90"), ("x2", "240x180"))
LAST_LINE_BITRATES = (60, 110)
FIGURES = ("miou", "tail90", "tail99", "class_tail")
BASELINES = ("bicubic", "none")


def read(path):
    with open(path, encoding="utf-8") as text:
        return json.load(text)


class Arm:
    """The frames of an arm, each as (hits, false alarms, misses) of every class."""

    def __init__(self, file):
        self.name, self.classes = file["name"], file["classes"]
        self.pixels = file["width"] * file["height"]
        self.kbps_asked = int(file["rung"].split()[0])
        self.way = self.name.rsplit("-", 1)[1]
        self.rung = self.name.rsplit("-", 1)[0]
        self.bytes, self.us, self.frames = 0, 0, []

    def add(self, file, place):
        if file["kind"] != "labels" or file["classes"] != self.classes:
            raise SystemExit(f"restore_folds: {place}: no label maps, or other classes than in the folders before")
        self.bytes += file["stream_bytes"]
        self.us += file["stream_us"]
        for frame in file["frames"]:
            flat = frame["counts"]
            self.frames.append([tuple(flat[i : i + 3]) for i in range(0, len(flat), 3)])

    def kbps(self):
        return self.bytes * 8000 / self.us

    def of_classes(self):
        """IoU by class, of those that are in the reference."""
        sums = [[sum(part) for part in zip(*counts)] for counts in zip(*self.frames)]
        return {i: c[0] / sum(c) for i, c in enumerate(sums) if c[0] + c[2] > 0}

    def tail(self, percent):
        """Nearest rank of the frames' mean IoU over the classes in reference or prediction."""
        values = []
        for frame in self.frames:
            there = [c[0] / sum(c) for c in frame if sum(c) > 0]
            values.append(sum(there) / len(there))
        return sorted(values)[((100 - percent) * len(values) + 99) // 100 - 1]

    def figures(self, tail_classes):
        of_classes = self.of_classes()
        return {
            "miou": sum(of_classes.values()) / len(of_classes),
            "tail90": self.tail(90),
            "tail99": self.tail(99),
            "class_tail": sum(of_classes[i] for i in tail_classes) / len(tail_classes),
        }


def read_arms(folders):
    names = [[arm["name"] for arm in read(f"{folder}/report.json")["arms"]] for folder in folders]
    for folder, theirs in zip(folders, names):
        if theirs != names[0]:
            raise SystemExit(f"restore_folds: {folder} has other arms than {folders[0]}")
    arms = []
    for name in names[0]:
        for folder in folders:
            path = f"{folder}/arms/{name}.json"
            file = read(path)
            if folder == folders[0]:
                arms.append(Arm(file))
            arms[-1].add(file, path)
    return arms


def choose_tail(arms):
    """The worst quarter of classes at the smallest size and bitrate, behind a baseline."""
    hardest = min((arm for arm in arms if arm.way in BASELINES), key=lambda arm: (arm.pixels, arm.kbps_asked))
    of_classes = hardest.of_classes()
    worst = sorted(of_classes, key=lambda i: (of_classes[i], i))[: (len(of_classes) + 3) // 4]
    return hardest, worst


def gain_of(baseline, value):
    if baseline > 0:
        return value / baseline - 1
    return math.inf if value > 0 else 0.0


def print_table(arms, figures, gains):
    width = max(len(arm.name) for arm in arms)
    print("arm".ljust(width), "kbit/s".rjust(7), *(f"{name:>11}    gain" for name in FIGURES))
    for arm in arms:
        print(arm.name.ljust(width), f"{arm.kbps():7.1f}", end="")
        for name in FIGURES:
            gain = f"{100 * gains[arm.name][name]:+.1f}%" if arm.name in gains else "-"
            print(f" {figures[arm.name][name]:11.4f} {gain:>7}", end="")
        print()


def main(folders):
    arms = read_arms(folders)
    hardest, worst = choose_tail(arms)
    figures = {arm.name: arm.figures(worst) for arm in arms}
    baselines = {arm.rung: figures[arm.name] for arm in arms if arm.way in BASELINES}
    gains = {
        arm.name: {name: gain_of(baselines[arm.rung][name], figures[arm.name][name]) for name in FIGURES}
        for arm in arms
        if arm.way not in BASELINES
    }
    frames = len(arms[0].frames)
    print(f"{frames} pictures of {len(folders)} evaluations")
    print(f"class tail: {', '.join(arms[0].classes[i] for i in worst)} (worst quarter of {hardest.name})\n")
    print_table(arms, figures, gains)
    line = [f"frames={frames}"]
    for factor, size in LAST_LINE:
        for name in ("class_tail", "tail90", "tail99", "miou"):
            least = min(gains[f"h264-{size}-{kbps}-aware"][name] for kbps in LAST_LINE_BITRATES)
            line.append(f"{name}_{factor}={least:.3f}")
    print("\nrestore-folds: " + " ".join(line))


if __name__ == "__main__":
    main(sys.argv[1:])
