#!/usr/bin/env python3
"""What bf16 changes on real frames: our engine beside OpenVINO, each against itself in f32.

    bf16_openvino.py PROGRAMS VIDEO DATA

(make bench-bf16.) PROGRAMS is the folder with tests/bench/bf16_run.c and bf16_boxes.c built, VIDEO is
vtest.avi, DATA the test data with clips/ and models/. Frames come from the ffmpeg command line, prepared
as each model's text file says. An error is the norm of the difference over the norm in f32, of each output,
the largest over the frames; it may be BOUND or SLACK times OpenVINO's own, whichever is larger. Boxes
are what the server's head (for ultraface: this file) finds at the model's threshold; one is kept when bf16
has a box of its class that overlaps by IoU 0.5 or more, each of them once, and lost otherwise; new is the
same the other way round. What is lost because its confidence fell below the threshold by less than NEAR
is not gone: gone counts what a threshold lower by NEAR does not find either. Where the answer is a class
for each pixel, the pixels that keep theirs are told. Status 1 when a model's error is beyond its bound or
less than KEPT of all boxes are the same. Last line (n/a where the processor has no bf16):
    bf16: models=… within=… boxes_same=…
"""
import os
import subprocess
import sys
import tempfile

import numpy
import openvino

BOUND, SLACK, KEPT, IOU, NEAR = 2e-2, 1.2, 0.995, 0.5, 0.02
THREADS = 2
STATUS_WITHOUT = 3  # of bf16_run: the device does not have the precision
STREET = [("vtest", 8), ("bikes.mp4", 10), ("car-detection.mp4", 10),
          ("one-by-one-person-detection.mp4", 10), ("person-bicycle-car-detection.mp4", 10),
          ("solidWhiteRight.mp4", 10)]
ROAD = [("solidWhiteRight.mp4", 4)]


class Model:
    """Clips with every how manieth frame is taken, the input's size, FFmpeg's filter, pixel format, what
    is taken off and divided by, and how outputs are read: a head's word, score, IoU and classes; "faces",
    score and IoU; or "areas"."""

    def __init__(self, path, clips, width, height, fit, pixels, scaling, answer):
        self.path, self.clips, self.width, self.height = path, clips, width, height
        self.pixels, self.scaling, self.answer = pixels, scaling, answer
        self.filter = f"scale={width}:{height}:flags=bilinear"
        if fit == "letterbox":
            self.filter += (":force_original_aspect_ratio=decrease,format=" + pixels +
                            f",pad={width}:{height}:0:0:color=0x727272")


MODELS = {
    "street_det": Model("models/street_det/street_det.onnx", STREET, 512, 384, "letterbox", "rgb24",
                        (0, 255), ("yolox", 0.45, 0.6, 6)),
    "yolox_nano": Model(None, STREET, 416, 416, "letterbox", "bgr24", (0, 1), ("yolox", 0.3, 0.45, 80)),
    "fastestdet": Model(None, STREET, 352, 352, "stretch", "bgr24", (0, 255),
                        ("fastestdet", 0.6, 0.45, 80)),
    "ultraface_rfb320": Model(None, STREET, 320, 240, "stretch", "rgb24", (127, 128),
                              ("faces", 0.7, 0.3)),
    "twinlitenet": Model(None, ROAD, 640, 360, "stretch", "rgb24", (0, 255), ("areas",)),
}


def read_frames(model, video, data):
    """The frames as the network reads them: 1x3xHEIGHTxWIDTH each."""
    frames = []
    for clip, every in model.clips:
        path = video if clip == "vtest" else os.path.join(data, "clips", clip)
        raw = subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf",
             f"select=not(mod(n\\,{every})),{model.filter}", "-vsync", "0", "-pix_fmt", model.pixels,
             "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
        pixels = numpy.frombuffer(raw, numpy.uint8).reshape(-1, model.height, model.width, 3)
        frames += [frame.transpose(2, 0, 1)[None] for frame in pixels]
    take_off, divide_by = model.scaling
    return [numpy.ascontiguousarray((frame.astype(numpy.float32) - take_off) / numpy.float32(divide_by))
            for frame in frames]


def open_theirs(path, precision):
    core = openvino.Core()
    return core.compile_model(core.read_model(path), "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1})


def run_theirs(path, frames, precision):
    """The outputs of each frame, in the file's order."""
    compiled = open_theirs(path, precision)
    return [[numpy.array(array) for array in compiled(frame).values()] for frame in frames]


def run_ours(program, path, frames, shapes, precision, folder):
    """The same."""
    source, target = (os.path.join(folder, name) for name in ("in", "out"))
    with open(source, "wb") as file:
        for frame in frames:
            file.write(frame.tobytes())
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        done = subprocess.run([program, path, precision, f"cpu:threads={THREADS}"], stdin=stdin,
                              stdout=stdout, stderr=subprocess.PIPE, text=True,
                              env={"GOMP_SPINCOUNT": "1000", **os.environ})
    if done.returncode == STATUS_WITHOUT:
        print(f"bf16_openvino: {done.stderr.strip()}\nbf16: models=0 within=n/a boxes_same=n/a")
        sys.exit(0)
    if done.returncode:
        sys.exit(f"bf16_openvino: {done.stderr.strip()}")
    numbers, outputs, at = numpy.fromfile(target, numpy.float32), [], 0
    for _ in frames:
        outputs.append([])
        for shape in shapes:
            count = int(numpy.prod(shape))
            outputs[-1].append(numbers[at:at + count].reshape(shape))
            at += count
    assert at == len(numbers)
    return outputs


def worst_errors(outputs, exact):
    """The largest over the frames, for each output."""
    worst = numpy.zeros(len(exact[0]))
    for frame, wanted in zip(outputs, exact):
        for i, (got, right) in enumerate(zip(frame, wanted)):
            right = right.astype(float)
            worst[i] = max(worst[i], numpy.linalg.norm(got - right) / (numpy.linalg.norm(right) + 1e-30))
    return worst


def find_boxes(program, model, outputs, lower=0.0):
    """(class, confidence, left, top, right, bottom) of each frame; from a threshold that much lower."""
    kind, score, iou, *classes = model.answer
    score -= lower
    if kind == "faces":
        return [find_faces(frame, score, iou) for frame in outputs]
    shape = "x".join(map(str, outputs[0][0].shape))
    text = subprocess.run(
        [program, kind, str(score), str(iou), str(classes[0]), str(model.width), str(model.height), shape],
        input=b"".join(frame[0].astype(numpy.float32).tobytes() for frame in outputs), check=True,
        stdout=subprocess.PIPE).stdout.decode()
    boxes = [[] for _ in outputs]
    for line in text.splitlines():
        frame, found, confidence, x, y, width, height = map(float, line.split())
        boxes[int(frame)].append((int(found), confidence, x, y, x + width, y + height))
    return boxes


def find_faces(frame, score, iou):
    scores, corners = (array[0] for array in sorted(frame, key=lambda array: array.shape[2]))
    kept = []
    for row in numpy.argsort(-scores[:, 1]):
        if scores[row, 1] < score:
            break
        box = (0, float(scores[row, 1]), *map(float, corners[row]))
        if all(overlap(box, other) <= iou for other in kept):
            kept.append(box)
    return kept


def overlap(a, b):
    width = min(a[4], b[4]) - max(a[2], b[2])
    height = min(a[5], b[5]) - max(a[3], b[3])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - shared)


def match_boxes(before, after):
    """How many boxes there are before, and how many of them not after."""
    total, lost = 0, 0
    for old, fresh in zip(before, after):
        fresh = list(fresh)
        total += len(old)
        for box in old:
            best = max((f for f in fresh if f[0] == box[0]), key=lambda f: overlap(box, f), default=None)
            if best and overlap(box, best) >= IOU:
                fresh.remove(best)
            else:
                lost += 1
    return total, lost


def same_pixels(outputs, exact):
    """The share of pixels whose best class is the same."""
    same = [numpy.mean(numpy.argmax(a, 1) == numpy.argmax(b, 1))
            for frame, wanted in zip(outputs, exact) for a, b in zip(frame, wanted)]
    return float(numpy.mean(same))


def compare_boxes(program, name, model, ours, theirs):
    """How many boxes of ours there were in f32, and how many of them bf16 loses."""
    counts = []
    for side in (ours, theirs):
        found = {precision: find_boxes(program, model, side[precision]) for precision in ("f32", "bf16")}
        total, lost = match_boxes(found["f32"], found["bf16"])
        _, new = match_boxes(found["bf16"], found["f32"])
        _, gone = match_boxes(found["f32"], find_boxes(program, model, side["bf16"], NEAR))
        counts.append((total, lost, f"lost={lost} new={new} gone={gone}"))
    print(f"{name}: boxes={counts[0][0]} {counts[0][2]}; openvino: boxes={counts[1][0]} {counts[1][2]}",
          flush=True)
    return counts[0][:2]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    programs, video, data = sys.argv[1:]
    boxes_before, boxes_gone, within = 0, 0, 0
    for name, model in MODELS.items():
        path = model.path or os.path.join(data, "models", name + ".onnx")
        frames = read_frames(model, video, data)
        theirs = {p: run_theirs(path, frames, p) for p in ("f32", "bf16")}
        shapes = [array.shape for array in theirs["f32"][0]]
        with tempfile.TemporaryDirectory() as folder:
            ours = {p: run_ours(os.path.join(programs, "bf16_run"), path, frames, shapes, p, folder)
                    for p in ("f32", "bf16")}
        mine, others = (worst_errors(side["bf16"], side["f32"]) for side in (ours, theirs))
        bounds = numpy.maximum(BOUND, SLACK * others)
        good = bool((mine <= bounds).all())
        within += good
        agree = worst_errors(ours["f32"], theirs["f32"]).max()
        print(f"{name}: {len(frames)} frames:", *(f"error={m:.1e} openvino={o:.1e} bound={b:.1e}"
              for m, o, b in zip(mine, others, bounds)), "within" if good else "BEYOND",
              f"(f32 of both: {agree:.0e})", flush=True)
        if model.answer[0] == "areas":
            print(f"{name}: pixels same: {same_pixels(ours['bf16'], ours['f32']):.5f} "
                  f"openvino={same_pixels(theirs['bf16'], theirs['f32']):.5f}", flush=True)
            continue
        total, gone = compare_boxes(os.path.join(programs, "bf16_boxes"), name, model, ours, theirs)
        boxes_before += total
        boxes_gone += gone
    same = 1 - boxes_gone / boxes_before
    print(f"bf16: models={len(MODELS)} within={within} boxes_same={same:.4f}")
    sys.exit(0 if within == len(MODELS) and same >= KEPT else 1)


main()
