#!/usr/bin/env python3
"""Makes the folder that `make test-gpu` and `make bench-gpu` need on a machine with a GPU.

    bundle.py BUNDLE BUILD DATA

BUILD is the build folder, with the programs of mk/gpu.mk and, where there is a CUDA toolkit, lib/kernels-cuda.so;
DATA the test data. Networks of the product are in the tree and stay there; those of the test data are
copied, but for the largest of them where the bundle, or tree and bundle together, would be too large to travel. Each
gets an input made of a real picture, and the outputs that the plain reference kernels give for it. Last line:

    gpu-bundle: folder=… networks=… mib=… with_tree_mib=… kernels=yes|no
"""
import array
import glob
import hashlib
import os
import shutil
import subprocess
import sys

MIB_MAX = 60
WITH_TREE_MIB_MAX = 64
PACKED = ["bin", "data"]
PROGRAMS = ["ops", "model_check", "plan_time"]
LETTERBOX = "scale={w}:{h}:force_original_aspect_ratio=decrease:flags=bilinear," \
            "pad={w}:{h}:0:0:color=0x727272"
STRETCH = "scale={w}:{h}:flags=bilinear"
STREET = "models/street_det/sample.jpg"
ROAD = "models/camvid_segment/sample.jpg"
LANES, PERSON = "clips/solidWhiteRight.mp4", "clips/one-by-one-person-detection.mp4"
UNIT = ((0, 0, 0), (255, 255, 255))
RAW = ((0, 0, 0), (1, 1, 1))
FACE = ((127, 127, 127), (128, 128, 128))
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class Network:
    """file in the tree or, without a folder, in DATA/models; size of the picture that it is given,
    which picture and frame, and how its numbers come from bytes. scores: see model_list.h. mask: whether
    there is a second input, of zeros."""

    def __init__(self, file, width, height, picture, frame=0, fit=STRETCH, pixels="rgb24", scaling=UNIT,
                 last=False, outputs=1, scores=None, mask=False):
        self.file, self.width, self.height = file, width, height
        self.picture, self.frame, self.fit, self.pixels = picture, frame, fit, pixels
        self.scaling, self.last, self.outputs, self.scores = scaling, last, outputs, scores
        self.mask = mask
        self.own = "/" in file
        parts = os.path.splitext(file)[0].removeprefix("models/").split("/")
        self.name = "_".join(dict.fromkeys(parts))  # street_det/street_det is street_det

    def shapes(self):
        channels = 1 if self.pixels == "gray" else 3
        shape = (1, self.height, self.width, channels) if self.last else \
                (1, channels, self.height, self.width)
        return [shape] + ([(1, 1, self.height, self.width)] if self.mask else [])

    def line(self):
        shapes = ",".join("x".join(map(str, shape)) for shape in self.shapes())
        file = self.file if self.own else f"models/{self.file}"
        return (f"name={self.name} file={file} shapes={shapes} outputs={self.outputs}" +
                (f" scores={self.scores}" if self.scores else ""))


def list_networks():
    """Restoration networks are small pictures' here: what they compute does not depend on the size."""
    networks = [
        Network("models/street_det/street_det.onnx", 512, 384, STREET, fit=LETTERBOX,
                scores="0:r:4:1:5:6:1:0.45"),
        Network("models/camvid_segment/camvid_segment.onnx", 240, 180, ROAD),
        Network("models/camvid_segment_tuned/camvid_segment_tuned.onnx", 240, 180, ROAD),
    ]
    restorers = sorted(glob.glob("models/*/restore/*.onnx") + glob.glob("models/restore/*.onnx") +
                       glob.glob("models/restore/*/*.onnx"))
    networks += [Network(file, 96, 72, ROAD) for file in restorers]
    return networks + [
        Network("yolox_nano.onnx", 416, 416, STREET, fit=LETTERBOX, pixels="bgr24", scaling=RAW,
                scores="0:r:4:1:5:80:1:0.3"),
        Network("fastestdet.onnx", 352, 352, STREET, pixels="bgr24", scores="0:c:0:0.6:5:80:0.4:0.6"),
        Network("ultraface_rfb320.onnx", 320, 240, PERSON, frame=60, scaling=FACE, outputs=2),
        Network("twinlitenet.onnx", 640, 360, LANES, frame=60, outputs=2),
        Network("lstr_lane.onnx", 640, 360, LANES, frame=60, scaling=IMAGENET, outputs=5, mask=True),
        Network("fsrcnn_x2.onnx", 96, 72, ROAD, pixels="gray", last=True),
        Network("espcn_x3.onnx", 224, 224, ROAD, pixels="gray"),
    ]


def read_picture(network, data):
    """Bytes, row by row, channels together."""
    path = network.picture if network.picture.startswith("models/") else os.path.join(data, network.picture)
    filters = network.fit.format(w=network.width, h=network.height)
    done = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf",
         f"select=eq(n\\,{network.frame}),{filters}", "-frames:v", "1", "-pix_fmt", network.pixels,
         "-f", "rawvideo", "-"], check=True, capture_output=True)
    return done.stdout


def write_inputs(network, data, folder):
    pixels = read_picture(network, data)
    channels = 1 if network.pixels == "gray" else 3
    if len(pixels) != network.width * network.height * channels:
        sys.exit(f"bundle: {network.picture}: {len(pixels)} bytes")
    planes = []
    for c in range(channels):
        table = [(byte - network.scaling[0][c]) / network.scaling[1][c] for byte in range(256)]
        planes.append(array.array("f", (table[byte] for byte in pixels[c::channels])))
    with open(os.path.join(folder, "data", f"{network.name}.in.0"), "wb") as file:
        for plane in planes:
            plane.tofile(file)
    if network.mask:
        with open(os.path.join(folder, "data", f"{network.name}.in.1"), "wb") as file:
            (array.array("f", [0]) * (network.width * network.height)).tofile(file)


def copy_programs(folder, build):
    for program in PROGRAMS:
        shutil.copy2(os.path.join(build, "test", "gpu", program), os.path.join(folder, "bin"))
        subprocess.run(["strip", "--strip-debug", os.path.join(folder, "bin", program)], check=True)
    optional = [os.path.join(build, "lib", "kernels-cuda.so"), os.path.join(build, "test", "gpu", "cuda_kernels")]
    for file in filter(os.path.exists, optional):
        shutil.copy2(file, os.path.join(folder, "bin"))
        subprocess.run(["strip", "--strip-unneeded", os.path.join(folder, "bin", os.path.basename(file))], check=True)
    return os.path.exists(optional[0])


def pack_content(folder):
    """The same code for many architectures, and floats made of bytes: a fifth is enough to carry."""
    subprocess.run(["tar", "-C", folder, "-cJf", os.path.join(folder, "content.tar.xz")] + PACKED, check=True,
                   env={**os.environ, "XZ_OPT": "-3"})


def list_files(folder):
    return [path for path in sorted(glob.glob(os.path.join(folder, "**"), recursive=True)) if os.path.isfile(path)]


def size_mib(files):
    return sum(os.path.getsize(path) for path in files) / 2**20


def tree_files():
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    return filter(os.path.exists, listed.split("\0"))


def leave_out_largest(folder, networks):
    """Of the networks that are copied, file and data; gives those that stay."""
    sizes = {network: os.path.getsize(os.path.join(folder, "models", network.file))
             for network in networks if not network.own}
    if not sizes:
        sys.exit(f"bundle: {folder} is too large without any network of the test data")
    largest = max(sizes, key=sizes.get)
    print(f"gpu-bundle: left out for its size: {largest.file} ({sizes[largest] / 2**20:.1f} MiB)")
    os.remove(os.path.join(folder, "models", largest.file))
    for path in glob.glob(os.path.join(folder, "data", f"{largest.name}.*")):
        os.remove(path)
    return [network for network in networks if network is not largest]


def pack(folder, networks, tree_mib):
    """Makes it as small as it has to be; gives the networks in it and its size."""
    while True:
        write_list(folder, networks)
        pack_content(folder)
        packed = [path for name in PACKED for path in list_files(os.path.join(folder, name))]
        mib = size_mib(list_files(folder)) - size_mib(packed)
        if mib <= MIB_MAX and mib + tree_mib <= WITH_TREE_MIB_MAX:
            break
        networks = leave_out_largest(folder, networks)
    for name in PACKED:
        shutil.rmtree(os.path.join(folder, name))
    return networks, mib


def write_checksums(folder):
    lines = []
    for path in list_files(folder):
        with open(path, "rb") as file:
            lines.append(f"{hashlib.sha256(file.read()).hexdigest()}  {os.path.relpath(path, folder)}\n")
    with open(os.path.join(folder, "SHA256SUMS"), "w", encoding="ascii") as file:
        file.writelines(lines)


def write_list(folder, networks):
    with open(os.path.join(folder, "models.txt"), "w", encoding="ascii") as file:
        file.writelines(network.line() + "\n" for network in networks)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    folder, build, data = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("bin", "data", "models"):
        os.makedirs(os.path.join(folder, name))
    kernels = copy_programs(folder, build)
    networks = []
    for network in list_networks():
        source = network.file if network.own else os.path.join(data, "models", network.file)
        if not os.path.exists(source):
            print(f"gpu-bundle: no {source}: left out")
            continue
        if not network.own:
            shutil.copy2(source, os.path.join(folder, "models"))
        write_inputs(network, data, folder)
        networks.append(network)
    write_list(folder, networks)
    check = os.path.join(build, "test", "gpu", "model_check")
    subprocess.run([check, "write", folder] + [network.name for network in networks], check=True)
    tree_mib = size_mib(tree_files())
    networks, mib = pack(folder, networks, tree_mib)
    write_checksums(folder)
    if not kernels:
        print("gpu-bundle: without kernels-cuda.so: it is built there, by nvcc")
    print(f"gpu-bundle: folder={folder} networks={len(networks)} mib={mib:.1f} "
          f"with_tree_mib={mib + tree_mib:.1f} kernels={'yes' if kernels else 'no'}")


main()
