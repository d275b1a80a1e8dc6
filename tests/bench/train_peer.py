#!/usr/bin/env python3
"""The networks of make bench-train in PyTorch, one setting of it a process.

    train_peer.py NETWORK SETTING DETECTOR [THREADS]

NETWORK is restore or segment; both, their first weights and their data are those of train_nets.c, by
the same integers (`mixed`), so that losses can be compared step by step. SETTING is words joined by
"+": f32 or bf16 (autocast) or mixed (f32 tensors, oneDNN's convolutions and products in bf16), then
`last` (channels last), `compile` (torch.compile) and `keep` (which train_bench.py knows). DETECTOR is the
ONNX file of the detector that stands frozen behind the restorer. For each number N that a line of stdin
has, N steps are made and a line of their losses, then a line of their times in ms, is written.
"""
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

BATCH = {"restore": 16, "segment": 8}
RATE = {"restore": 1e-4, "segment": 3e-4}
CLIP_NORM = 1.0
FEATURES, BLOCKS, PATCH = 64, 12, 64
DETECTOR_SHARE = 0.1
CHARBONNIER_EPSILON = 1e-3
HEIGHT, WIDTH, CLASSES, IGNORE = 180, 240, 11, 255


def mixed(count, stream):
    """count numbers in -1..1 (train_nets.c: mixed)."""
    with numpy.errstate(over="ignore"):
        x = numpy.arange(count, dtype=numpy.uint32) + numpy.uint32((stream * 0x9E3779B9) & 0xFFFFFFFF)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = (x ^ (x >> numpy.uint32(shift))) * numpy.uint32(factor)
    return (x ^ (x >> numpy.uint32(16))).astype(numpy.float64) / 2147483648.0 - 1.0


def fill(model):
    """Convolutions get numbers up to 1 / sqrt(inputs of an output), biases none; in order of making."""
    stream = 1
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() == 4:
            transposed = isinstance(model.get_submodule(name.rpartition(".")[0]), nn.ConvTranspose2d)
            taps = parameter.shape[2] * parameter.shape[3]
            # A transposed convolution of stride 2 adds up a quarter of its taps in each output.
            inputs = parameter.shape[0] * taps / 4 if transposed else parameter.shape[1] * taps
            values = mixed(parameter.numel(), stream) / numpy.sqrt(float(inputs))
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(values.astype(numpy.float32)).view(parameter.shape))
            stream += 1


class Restorer(nn.Module):
    """EDSR's body (Lim et al., CVPRW 2017), what is shuffled into pixels added to the enlarged input."""

    def __init__(self):
        super().__init__()

        def conv(inputs, outputs):
            return nn.Conv2d(inputs, outputs, 3, padding=1)
        self.head = conv(3, FEATURES)
        self.blocks = nn.ModuleList(
            nn.ModuleList([conv(FEATURES, FEATURES), conv(FEATURES, FEATURES)]) for _ in range(BLOCKS))
        self.body = conv(FEATURES, FEATURES)
        self.tail = conv(FEATURES, 12)

    def forward(self, small):
        x = head = self.head(small)
        for first, second in self.blocks:
            x = x + second(F.relu(first(x)))
        x = head + self.body(x)
        enlarged = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
        return F.pixel_shuffle(self.tail(x), 2) + enlarged


class Segmenter(nn.Module):
    """Three steps down, back up by bilinear resizes and, last, a transposed convolution."""

    def __init__(self):
        super().__init__()

        def unit(inputs, outputs, stride=1):
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                                 nn.BatchNorm2d(outputs), nn.ReLU())
        self.down1 = unit(3, 32, 2)
        self.down2 = nn.Sequential(unit(32, 64, 2), unit(64, 64), unit(64, 64))
        self.down3 = nn.Sequential(unit(64, 128, 2), unit(128, 128), unit(128, 128))
        self.up2 = unit(192, 64)
        self.up1 = unit(96, 32)
        self.scores = nn.ConvTranspose2d(32, CLASSES, 4, 2, 1)

    def forward(self, picture):
        one = self.down1(picture)
        two = self.down2(one)
        x = self.down3(two)
        x = F.interpolate(x, size=two.shape[2:], mode="bilinear", align_corners=False)
        x = self.up2(torch.cat([x, two], 1))
        x = F.interpolate(x, size=one.shape[2:], mode="bilinear", align_corners=False)
        x = self.up1(torch.cat([x, one], 1))
        return self.scores(x)


class Detector(nn.Module):
    """An ONNX graph of the ops below, frozen."""

    def __init__(self, path):
        super().__init__()
        import train_onnx
        graph = train_onnx.read(path)
        self.nodes, self.inputs, self.outputs = graph.nodes, graph.inputs, graph.outputs
        self.constants = {}
        for index, (name, array) in enumerate(graph.constants.items()):
            if array.dtype == numpy.float32 and array.ndim in (1, 4) and "Constant" not in name:
                self.register_buffer(f"w{index}", torch.from_numpy(array.copy()))
                self.constants[name] = f"w{index}"
            else:
                self.constants[name] = array.tolist()

    def forward(self, x):
        values = {self.inputs[0]: x}

        def value(name):
            if name in values:
                return values[name]
            constant = self.constants[name]
            return getattr(self, constant) if isinstance(constant, str) else constant
        for op, inputs, output, attributes in self.nodes:
            values[output] = self.apply_op(op, [value(name) for name in inputs if name], attributes)
        return values[self.outputs[0]]

    @staticmethod
    def apply_op(op, x, attributes):
        if op == "Conv":
            pads = attributes["pads"]
            assert pads[0] == pads[1] == pads[2] == pads[3]
            return F.conv2d(x[0], x[1], x[2], attributes["strides"], pads[0], attributes["dilations"],
                            attributes["group"])
        if op == "Relu":
            return F.relu(x[0])
        if op == "Add":
            return x[0] + x[1]
        if op == "Sigmoid":
            return torch.sigmoid(x[0])
        if op == "Concat":
            return torch.cat(x, attributes["axis"])
        if op == "Reshape":
            return x[0].reshape(x[1])
        if op == "Transpose":
            return x[0].permute(attributes["perm"])
        assert op == "Resize" and attributes["mode"] == "nearest"
        return F.interpolate(x[0], scale_factor=x[1][2:], mode="nearest")


def restore_data():
    """Targets of blocks of colour with a little noise, and each 2x2 of their pixels as one."""
    batch, side = BATCH["restore"], 2 * PATCH
    blocks = mixed(batch * 3 * 16 * 16, 1001).reshape(batch, 3, 16, 16)
    noise = mixed(batch * 3 * side * side, 1002).reshape(batch, 3, side, side)
    target = 0.5 + 0.4 * blocks.repeat(side // 16, 2).repeat(side // 16, 3) + 0.1 * noise
    target = target.astype(numpy.float32)
    small = target.astype(numpy.float64).reshape(batch, 3, PATCH, 2, PATCH, 2).sum((3, 5)) / 4
    return torch.from_numpy(small.astype(numpy.float32)), torch.from_numpy(target)


def segment_data():
    """Labels in blocks of 15x20, one of twelve of which is not to count, and pictures that show them."""
    batch = BATCH["segment"]
    blocks = ((mixed(batch * 12 * 12, 2001) + 1) * 6).astype(numpy.int64).reshape(batch, 12, 12)
    labels = blocks.repeat(HEIGHT // 12, 1).repeat(WIDTH // 12, 2)
    noise = mixed(batch * 3 * HEIGHT * WIDTH, 2002).reshape(batch, 3, HEIGHT, WIDTH)
    tints = numpy.stack([labels * (c + 1) % 12 for c in range(3)], 1) / 12.0
    pictures = (0.7 * tints + 0.15 + 0.15 * noise).astype(numpy.float32)
    labels = numpy.where(labels == CLASSES, IGNORE, labels)
    weights = (0.5 + numpy.arange(CLASSES) / 10.0).astype(numpy.float32)
    return torch.from_numpy(pictures), torch.from_numpy(labels), torch.from_numpy(weights)


class Training:
    """A step of it: loss, gradients, clipping, Adam."""

    def __init__(self, network, setting, detector_path):
        words = setting.split("+")
        layout = torch.channels_last if "last" in words else torch.contiguous_format
        self.bf16 = "bf16" in words
        if "mixed" in words:
            torch.backends.mkldnn.conv.fp32_precision = "bf16"
            torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        self.model = Restorer() if network == "restore" else Segmenter()
        fill(self.model)
        self.model = self.model.to(memory_format=layout).train()
        if network == "restore":
            small, target = restore_data()
            detector = Detector(detector_path)
            with torch.no_grad():
                wanted = detector(target)
            self.detector = detector.to(memory_format=layout)
            self.data = (small.contiguous(memory_format=layout), target.contiguous(memory_format=layout),
                         wanted)
        else:
            pictures, labels, weights = segment_data()
            self.data = (pictures.contiguous(memory_format=layout), labels, weights)
        self.loss = self.restore_loss if network == "restore" else self.segment_loss
        if "compile" in words:
            self.loss = torch.compile(self.loss)
        self.parameters = list(self.model.parameters())
        self.optimiser = self.make_optimiser(RATE[network])

    def make_optimiser(self, rate):
        try:
            return torch.optim.Adam(self.parameters, lr=rate, fused=True)
        except (RuntimeError, TypeError):  # 1.13
            return torch.optim.Adam(self.parameters, lr=rate)

    def restore_loss(self, small, target, wanted):
        restored = self.model(small).float()
        difference = restored - target
        loss = torch.sqrt(difference * difference + CHARBONNIER_EPSILON ** 2).mean()
        return loss + DETECTOR_SHARE * F.mse_loss(self.detector(restored).float(), wanted)

    def segment_loss(self, pictures, labels, weights):
        return F.cross_entropy(self.model(pictures).float(), labels, weights, ignore_index=IGNORE)

    def step(self):
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss(*self.data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimiser.step()
        return loss.item()


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) == 5 else 2)
    training = Training(*sys.argv[1:4])
    print(f"torch {torch.__version__}", flush=True)
    for line in sys.stdin:
        losses, times_ms = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            losses.append(training.step())
            times_ms.append((time.perf_counter() - start) * 1e3)
        print(*(f"{loss:.9g}" for loss in losses))
        print(*(f"{ms:.3f}" for ms in times_ms), flush=True)


sys.dont_write_bytecode = True
main()
