"""The last line of make bench-restore, from the reports of its evaluations.

    restore_figures.py FOLDER

A gain of x4 is the smaller of those at its two bitrates, against bicubic. bits_saved_detect is the smaller of
those at equal mean F1 and at equal 90 % tail.
"""

import json
import sys

NETWORKS = "h264 aware"  # as eval calls the arms that are restored for the analytics model
X4 = "120x90"
X4_BITRATES = (60, 110)


def read(folder, name, file):
    with open(f"{folder}/{name}/{file}", encoding="utf-8") as text:
        return json.load(text)


def bits_saved(folder, name, figure):
    for entry in read(folder, name, "bits_saved.json"):
        if entry["ours"] == NETWORKS and entry["figure"] == figure:
            return entry.get("saved", float("nan"))
    raise SystemExit(f"restore_figures: {folder}/{name}: no bits saved by {NETWORKS}")


def gain_x4(folder, figure):
    arms = {arm["name"]: arm for arm in read(folder, "camvid_segment", "report.json")["arms"]}
    return min(
        arms[f"h264-{X4}-{kbps}-aware"]["comparisons"][figure]["gain"]["value"] for kbps in X4_BITRATES
    )


def main(folder):
    figures = {
        "bits_saved_mean": bits_saved(folder, "camvid_segment", "mean"),
        "bits_saved_tail90": bits_saved(folder, "camvid_segment", "tail90"),
        "class_tail_x4": gain_x4(folder, "class_tail"),
        "tail90_x4": gain_x4(folder, "tail90"),
        "tail99_x4": gain_x4(folder, "tail99"),
        "miou_x4": gain_x4(folder, "mean"),
        "bits_saved_detect": min(bits_saved(folder, "street_det", figure) for figure in ("mean", "tail90")),
    }
    print("restore: " + " ".join(f"{name}={value:.3f}" for name, value in figures.items()))


if __name__ == "__main__":
    main(sys.argv[1])
