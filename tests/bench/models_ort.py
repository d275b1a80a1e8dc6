#!/usr/bin/env python3
"""Every model of the test data and of models/ on real frames: our engine in f32 beside ONNX Runtime.

    models_ort.py PLAN_RUN VIDEO DATA

(make bench-models.) PLAN_RUN is tests/bench/plan_run.c built, VIDEO is vtest.avi, DATA the test data
with clips/ and models/. Frames come from the ffmpeg command line, prepared as each model's text file
says. An error is the norm of the difference over the norm of ONNX Runtime's output (graph optimisation
off), the largest over the frames. Times are taken in turns, two threads each, ONNX Runtime at its
fastest; the median over rounds of medians. A model is matched, refused (with our words) or wrong; a
wrong one makes the status 1. Last line:
    models: matched=… refused=… worst_error=… geomean_ratio=…
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile

import numpy

sys.dont_write_bytecode = True  # nothing is left among the sources
import ort_compare

BOUND = 1e-3
THREADS = 2
ROUNDS = 7
RUNS = 20

# As the server's workers are started (cloud-server/devices/child.c).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

IMAGENET = (numpy.array([0.485, 0.456, 0.406], numpy.float32) * 255,
            numpy.array([0.229, 0.224, 0.225], numpy.float32) * 255)
UNIT = (0, 255)
VTEST = [("vtest", 0), ("vtest", 200), ("vtest", 500)]
ROAD = [("solidWhiteRight.mp4", 0), ("solidWhiteRight.mp4", 60), ("solidWhiteRight.mp4", 119)]
PEOPLE = [("one-by-one-person-detection.mp4", 60), ("bikes.mp4", 100), ("vtest", 500)]


class Recipe:
    """frames as (clip, number), the input's size, FFmpeg's filters that bring a frame to it, pixel
    format, what is taken off and divided by, layout, and the shape of a second input (zeros)."""

    def __init__(self, frames, width, height, filters, pixels="rgb24", scaling=UNIT, layout="nchw",
                 mask=None):
        self.frames, self.filters, self.pixels = frames, filters, pixels
        self.shape = (height, width, 1 if pixels == "gray" else 3)
        self.scaling, self.layout, self.mask = scaling, layout, mask


RECIPES = {
    "street_det": Recipe(VTEST, 512, 384, "scale=512:384:flags=area"),
    "yolox_nano": Recipe(VTEST, 416, 416, "scale=416:416:force_original_aspect_ratio=decrease:"
                         "flags=bilinear,format=bgr24,pad=416:416:0:0:color=0x727272", "bgr24", (0, 1)),
    "fastestdet": Recipe(VTEST, 352, 352, "scale=352:352:flags=bilinear", "bgr24"),
    "twinlitenet": Recipe(ROAD, 640, 360, "scale=640:360:flags=bilinear"),
    "fsrcnn_x2": Recipe(VTEST, 384, 288, "scale=384:288:flags=bicubic", "gray", layout="nhwc"),
    "espcn_x3": Recipe(VTEST, 224, 224, "scale=224:224:flags=bicubic", "gray"),
    "ultraface_rfb320": Recipe(PEOPLE, 320, 240, "scale=320:240:flags=bilinear", scaling=(127, 128)),
    "mobilenetv2_qdq": Recipe(ROAD, 224, 224, "scale=256:256:force_original_aspect_ratio=increase:"
                              "flags=bilinear,crop=224:224", scaling=IMAGENET),
    "lstr_lane": Recipe(ROAD, 640, 360, "scale=640:360:flags=bilinear", scaling=IMAGENET,
                        mask=(1, 1, 360, 640)),
}


def read_frame(path, number, recipe):
    """height x width x channels, bytes."""
    data = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-frames:v", "1", "-vf",
         f"select=eq(n\\,{number}),{recipe.filters}", "-pix_fmt", recipe.pixels, "-f", "rawvideo", "-"],
        check=True, capture_output=True).stdout
    return numpy.frombuffer(data, numpy.uint8).reshape(recipe.shape)


def prepare(frame, recipe):
    take_off, divide_by = recipe.scaling
    pixels = ((frame.astype(numpy.float32) - take_off) / divide_by).astype(numpy.float32)
    if recipe.layout == "nchw":
        pixels = pixels.transpose(2, 0, 1)
    inputs = [numpy.ascontiguousarray(pixels[None])]
    if recipe.mask:
        inputs.append(numpy.zeros(recipe.mask, numpy.float32))
    return inputs


def find_refusal(plan_run, path, shapes):
    """Our words when the engine refuses the model, or None. A crash is no refusal."""
    command = [plan_run, "-d", f"cpu:threads={THREADS}"]
    for shape in shapes:
        command += ["-s", "x".join(map(str, shape))]
    done = subprocess.run(command + [path], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"models_ort: {path}: plan_run ended with {done.returncode}: {done.stderr}")
    return done.stderr.strip() if done.returncode else None


def compare(ours, path, batches, folder):
    """The largest error of each output over the frames; then our time and theirs in ms."""
    shapes = [array.shape for array in batches[0]]
    files = [os.path.join(folder, f"in.{i}") for i in range(len(shapes))]
    plain = ort_compare.open_session(path, THREADS, False)
    names = [info.name for info in plain.get_inputs()]
    worst = {output.name: 0.0 for output in plain.get_outputs()}
    prefix = os.path.join(folder, "out")
    for batch in batches:
        for array, file in zip(batch, files):
            array.tofile(file)
        ort_compare.run_ours(ours, path, shapes, files, prefix, 0)
        feed = dict(zip(names, batch))
        for i, (name, wanted) in enumerate(zip(worst, plain.run(None, feed))):
            got = numpy.fromfile(f"{prefix}.{i}", wanted.dtype).reshape(wanted.shape).astype(float)
            error = numpy.linalg.norm(got - wanted) / (numpy.linalg.norm(wanted.astype(float)) + 1e-30)
            worst[name] = max(worst[name], float(error))
    fast = ort_compare.open_session(path, THREADS, True)
    times = ort_compare.compare_times(ours, path, fast, shapes, files, feed)
    return worst, times


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    plan_run, video, data = sys.argv[1:]
    ours = argparse.Namespace(plan_run=plan_run, threads=THREADS, bf16=False, rounds=ROUNDS, runs=RUNS)
    folder = os.path.join(data, "models")
    paths = ["models/street_det/street_det.onnx"]
    paths += sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".onnx"))
    matched, refused, wrong, errors, ratios = 0, 0, 0, [], []
    for path in paths:
        name = os.path.basename(path).removesuffix(".onnx")
        if name not in RECIPES:
            sys.exit(f"models_ort: {path}: how to prepare a frame for it is not in RECIPES")
        recipe = RECIPES[name]
        batches = [prepare(read_frame(video if clip == "vtest" else os.path.join(data, "clips", clip),
                                      number, recipe), recipe) for clip, number in recipe.frames]
        refusal = find_refusal(plan_run, path, [array.shape for array in batches[0]])
        if refusal:
            refused += 1
            print(f"{name}: refused: {refusal}", flush=True)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            worst, (ours_ms, theirs_ms) = compare(ours, path, batches, scratch)
        errors += worst.values()
        ratios.append(ours_ms / theirs_ms)
        good = all(error < BOUND for error in worst.values())
        matched, wrong = matched + good, wrong + (not good)
        print(f"{name}: {'matched' if good else 'WRONG'}:",
              " ".join(f"{output}={error:.1e}" for output, error in worst.items()),
              f"ours_ms={ours_ms:.2f} onnxruntime_ms={theirs_ms:.2f} ratio={ratios[-1]:.2f}", flush=True)
    if wrong:
        print(f"models_ort: {wrong} models differ by {BOUND} or more", file=sys.stderr)
    ratio = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else 0
    print(f"models: matched={matched} refused={refused} worst_error={max(errors, default=0):.1e} "
          f"geomean_ratio={ratio:.2f}")
    sys.exit(1 if wrong else 0)


main()
