"""The models of the test data and the default detector: which frames engine.py shows them, and how each
frame is prepared, as the model's text file says."""
import os
import subprocess

import numpy

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


# Of 8 bits: their outputs are compared in steps, see docs/decisions.md, 8.
QUANTISED = {"mobilenetv2_qdq"}

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


def read_frames(recipe, video, data):
    """height x width x channels, bytes."""
    frames = []
    for clip, number in recipe.frames:
        path = video if clip == "vtest" else os.path.join(data, "clips", clip)
        pixels = subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-frames:v", "1", "-vf",
             f"select=eq(n\\,{number}),{recipe.filters}", "-pix_fmt", recipe.pixels, "-f", "rawvideo",
             "-"], check=True, capture_output=True).stdout
        frames.append(numpy.frombuffer(pixels, numpy.uint8).reshape(recipe.shape))
    return frames


def prepare(frame, recipe):
    take_off, divide_by = recipe.scaling
    pixels = ((frame.astype(numpy.float32) - take_off) / divide_by).astype(numpy.float32)
    if recipe.layout == "nchw":
        pixels = pixels.transpose(2, 0, 1)
    inputs = [numpy.ascontiguousarray(pixels[None])]
    if recipe.mask:
        inputs.append(numpy.zeros(recipe.mask, numpy.float32))
    return inputs
