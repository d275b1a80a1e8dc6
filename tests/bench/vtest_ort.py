#!/usr/bin/env python3
"""vtest_ort: the peer. Runs a model folder's network by ONNX Runtime on the undegraded frames of a
video and writes JSON lines as the daemons do, for vtest_accuracy.

    build/ort-venv/bin/python tests/bench/vtest_ort.py build/demo/vtest.avi models/street_det OUT

(make bench-accuracy makes that environment.)

Shares no code with the product: frames come from the ffmpeg command line as rgb24, are resized by
exact area averaging in floating point, and decoded by NumPy. Heads: yolox. The card is read by a
few patterns, enough for the cards of this repository.
"""
import json
import re
import subprocess
import sys

import numpy
import onnxruntime

STRIDES = (8, 16, 32)


def read_card(folder):
    text = open(folder + "/card.yaml", encoding="utf-8").read()

    def value(key, section=""):
        start = text.index("\n" + section) if section else 0
        return re.search(r"\n\s*%s:\s*(.+)" % key, text[start:]).group(1).strip()

    if value("kind", "head:") != "yolox":
        sys.exit("vtest_ort: only cards with the head yolox")
    return {
        "file": folder + "/" + value("file"),
        "name": value("name"),
        "classes": value("classes").strip("[]").split(", "),
        "width": int(value("width", "input:")),
        "height": int(value("height", "input:")),
        "colour": value("colour", "input:"),
        "fit": value("fit", "input:"),
        "pad": float(value("pad", "input:")),
        "divisor": float(value("divisor", "input:")),
        "score": float(value("score", "head:")),
        "iou": float(value("iou", "head:")),
    }


def probe_size(video):
    out = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height",
         "-of", "csv=p=0", video], check=True, capture_output=True, text=True).stdout
    width, height = out.strip().split(",")[:2]
    return int(width), int(height)


def read_frames(video, width, height):
    process = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-i", video, "-vsync", "0", "-f", "rawvideo", "-pix_fmt", "rgb24",
         "-sws_flags", "accurate_rnd+full_chroma_int", "-"], stdout=subprocess.PIPE)
    size = width * height * 3
    while True:
        frame = process.stdout.read(size)
        if len(frame) < size:
            break
        yield numpy.frombuffer(frame, numpy.uint8).reshape(height, width, 3)
    if process.wait() != 0:
        sys.exit("vtest_ort: ffmpeg failed")


def area_taps(source, target):
    """For each target pixel the source pixels under it and the share of each (when it shrinks), or
    the two nearest ones by distance (when it grows). Both arrays are taps x target."""
    ratio = source / target
    taps = int(numpy.ceil(ratio)) + 1
    low = numpy.arange(target) * ratio
    first = numpy.floor(low)
    if ratio < 1:
        low = numpy.clip(low + ratio / 2 - 0.5, 0, source - 1)
        first = numpy.floor(low)
        weights = numpy.stack((first + 1 - low, low - first))
    else:
        pixel = first + numpy.arange(taps)[:, None]
        weights = (numpy.minimum(pixel + 1, low + ratio) - numpy.maximum(pixel, low)).clip(0)
    index = (first + numpy.arange(taps)[:, None]).clip(0, source - 1).astype(int)
    return index, (weights / weights.sum(0)).astype(numpy.float32)


def resize(planes, taps, axis):
    shape = [1, 1, 1]
    shape[axis] = -1
    return sum(planes.take(index, axis) * weight.reshape(shape) for index, weight in zip(*taps))


class Preparation:
    def __init__(self, card, width, height):
        ratio = min(card["width"] / width, card["height"] / height)
        self.inner = (card["width"], card["height"])
        if card["fit"] == "letterbox":
            self.inner = (round(width * ratio), round(height * ratio))
        self.card = card
        self.across = area_taps(width, self.inner[0])
        self.down = area_taps(height, self.inner[1])
        self.back = (width / self.inner[0], height / self.inner[1])

    def run(self, frame):
        card = self.card
        planes = frame.transpose(2, 0, 1).astype(numpy.float32, order="C")
        if card["colour"] == "bgr":
            planes = planes[::-1]
        out = numpy.full((1, 3, card["height"], card["width"]), card["pad"], numpy.float32)
        out[0, :, :self.inner[1], :self.inner[0]] = resize(resize(planes, self.down, 1), self.across, 2)
        return out / numpy.float32(card["divisor"])


def decode_yolox(output, card):
    cells, strides = [], []
    for stride in STRIDES:
        columns, rows = card["width"] // stride, card["height"] // stride
        gy, gx = numpy.mgrid[0:rows, 0:columns]
        cells.append(numpy.stack((gx.ravel(), gy.ravel()), 1))
        strides.append(numpy.full((rows * columns, 1), stride))
    cells, strides = numpy.concatenate(cells), numpy.concatenate(strides)
    classes = output[:, 5:].argmax(1)
    scores = output[:, 4] * output[:, 5:].max(1)
    keep = scores >= card["score"]
    centre = ((output[:, :2] + cells) * strides)[keep]
    size = (numpy.exp(output[:, 2:4]) * strides)[keep]
    return numpy.concatenate((centre - size / 2, centre + size / 2), 1), scores[keep], classes[keep]


def suppress(boxes, scores, classes, iou):
    kept = []
    for i in numpy.argsort(-scores, kind="stable"):
        for k in kept:
            size = numpy.minimum(boxes[i, 2:], boxes[k, 2:]) - numpy.maximum(boxes[i, :2], boxes[k, :2])
            common = size.clip(0).prod()
            areas = (boxes[i, 2:] - boxes[i, :2]).prod() + (boxes[k, 2:] - boxes[k, :2]).prod()
            if classes[i] == classes[k] and common / (areas - common) > iou:
                break
        else:
            kept.append(i)
    return kept


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    video, folder, path = sys.argv[1:]
    card = read_card(folder)
    width, height = probe_size(video)
    preparation = Preparation(card, width, height)
    session = onnxruntime.InferenceSession(card["file"], providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    limit = numpy.array([width, height])
    with open(path, "w", encoding="utf-8") as out:
        for number, frame in enumerate(read_frames(video, width, height)):
            output = session.run(None, {name: preparation.run(frame)})[0][0]
            boxes, scores, classes = decode_yolox(output, card)
            objects = []
            for i in suppress(boxes, scores, classes, card["iou"]):
                low = (boxes[i, :2] * preparation.back).clip(0)
                high = numpy.minimum(boxes[i, 2:] * preparation.back, limit)
                objects.append({"class": card["classes"][classes[i]],
                                "confidence": round(float(scores[i]), 4),
                                "box": [round(float(v), 2) for v in (*low, *(high - low))]})
            out.write(json.dumps({"stream": "ort", "frame": number, "status": "ok",
                                  "model": card["name"], "objects": objects}) + "\n")


main()
