#!/usr/bin/env python3
"""An ONNX graph as a PyTorch module, so that PyTorch can be timed on the very networks that the engine runs.

    onnx_torch.py BUNDLE          every network of BUNDLE/models.txt, in f32 on the processor, beside what the
                                  reference kernels gave for its input (make gpu-bundle)

Shapes are fixed when the module is made: whatever follows from shapes and constants alone is computed
then, so that what is left is what works on pictures. Batch normalisation after a convolution becomes part of it,
as it does in the engine. Knows the operators that our networks use, and says so of any other.
"""
import os
import sys

import numpy
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional

BOUND = 1e-4
INT_MAX = 2**62


class Node:
    """An operator with its attributes, and the constants among its inputs."""

    def __init__(self, proto, opset, constants):
        self.op, self.name, self.opset = proto.op_type, proto.name, opset
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        self.constants = constants

    def get(self, name, default=None):
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self, index):
        """The input as a tensor, None where there is none; it has to be known by now."""
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        return self.constants[self.inputs[index]]

    def integers(self, index, name=None):
        """A list of whole numbers: an input of newer opsets, an attribute of older ones."""
        tensor = self.constant(index)
        if tensor is not None:
            return [int(n) for n in tensor.reshape(-1)]
        value = self.get(name) if name else None
        return None if value is None else [int(n) for n in value]


def symmetric(pads, node):
    """The pads of PyTorch's windows: the same before and behind."""
    half = len(pads) // 2
    if list(pads[:half]) != list(pads[half:]):
        raise NotImplementedError(f"{node.op} '{node.name}': pads {pads}")
    return list(pads[:half])


def window_pads(node, kernel):
    """Of windows that step by one where auto_pad is asked for, as in our networks."""
    if node.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        dilations = node.get("dilations", [1] * len(kernel))
        if any(s != 1 for s in node.get("strides", [1])) or any(k % 2 == 0 for k in kernel):
            raise NotImplementedError(f"{node.op} '{node.name}': auto_pad")
        return [d * (k - 1) // 2 for k, d in zip(kernel, dilations)]
    return symmetric(node.get("pads", [0] * (2 * len(kernel))), node)


def make_conv(node):
    kernel = list(node.constant(1).shape[2:])
    options = {"stride": node.get("strides", [1] * len(kernel)), "padding": window_pads(node, kernel),
               "dilation": node.get("dilations", [1] * len(kernel)), "groups": node.get("group", 1)}
    return lambda x, w, b=None: functional.conv2d(x, w, b, **options)


def make_conv_transpose(node):
    kernel = list(node.constant(1).shape[2:])
    options = {"stride": node.get("strides", [1] * len(kernel)), "padding": window_pads(node, kernel),
               "output_padding": node.get("output_padding", [0] * len(kernel)),
               "dilation": node.get("dilations", [1] * len(kernel)), "groups": node.get("group", 1)}
    return lambda x, w, b=None: functional.conv_transpose2d(x, w, b, **options)


def make_max_pool(node):
    kernel = node.get("kernel_shape")
    options = {"stride": node.get("strides", [1] * len(kernel)), "padding": window_pads(node, kernel),
               "ceil_mode": bool(node.get("ceil_mode", 0))}
    return lambda x: functional.max_pool2d(x, kernel, **options)


def make_average_pool(node):
    kernel = node.get("kernel_shape")
    options = {"stride": node.get("strides", [1] * len(kernel)), "padding": window_pads(node, kernel),
               "ceil_mode": bool(node.get("ceil_mode", 0)),
               "count_include_pad": bool(node.get("count_include_pad", 0))}
    return lambda x: functional.avg_pool2d(x, kernel, **options)


def make_batch_norm(node):
    epsilon = node.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, eps=epsilon)


def make_resize(node):
    modes = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}
    mode, where = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    inputs = {"Upsample": (None, 1, None), "Resize": (1, 2, 3)}[node.op]
    sizes = node.integers(inputs[2]) if inputs[2] else None
    scales = None if sizes else [float(s) for s in node.constant(inputs[1]).reshape(-1)]
    if mode == "nearest" and (where != "asymmetric" or node.get("nearest_mode") != "floor"):
        raise NotImplementedError(f"Resize '{node.name}': nearest, {where}")
    if mode != "nearest" and where not in ("half_pixel", "pytorch_half_pixel"):
        raise NotImplementedError(f"Resize '{node.name}': {mode}, {where}")
    options = {} if mode == "nearest" else {"align_corners": False}

    def resize(x, *_):
        size = sizes or [int(d * s) for d, s in zip(x.shape, scales)]
        return functional.interpolate(x, size=size[2:], mode=modes[mode], **options)
    return resize


def make_slice(node):
    starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
    axes, steps = node.integers(3, "axes") or list(range(len(starts))), node.integers(4)

    def cut(x, *_):
        parts = [slice(None)] * x.dim()
        for i, axis in enumerate(axes):
            end = None if ends[i] > INT_MAX else ends[i]
            parts[axis] = slice(starts[i], end, steps[i] if steps else 1)
        return x[tuple(parts)]
    return cut


def make_pad(node):
    if node.get("mode", "constant") != "constant":
        raise NotImplementedError(f"Pad '{node.name}': {node.get('mode')}")
    pads = node.integers(1, "pads")
    value = node.constant(2)
    value = float(value) if value is not None else node.get("value", 0.0)
    half = len(pads) // 2
    order = [n for d in reversed(range(half)) for n in (pads[d], pads[d + half])]
    return lambda x, *_: functional.pad(x, order, value=value)


def make_gather(node):
    axis, known = node.get("axis", 0), node.constant(1)
    if known.dim() == 0:
        number = int(known)
        return lambda x, _: x.select(axis, number)

    def gather(x, indices):
        dims = x.shape[:axis] + indices.shape + x.shape[axis + 1:]
        return x.index_select(axis, indices.reshape(-1)).reshape(dims)
    return gather


def make_reshape(node):
    wanted = node.integers(1, "shape")
    return lambda x, *_: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(wanted)])


def make_reduce(node, reduce):
    axes, keep = node.integers(1, "axes"), bool(node.get("keepdims", 1))
    return lambda x, *_: reduce(x, axes, keep)


def make_split(node):
    sizes, axis = node.integers(1, "split"), node.get("axis", 0)

    def split(x, *_):
        parts = sizes or [x.shape[axis] // len(node.outputs)] * len(node.outputs)
        return torch.split(x, parts, axis)
    return split


def make_softmax(node):
    axis = node.get("axis", -1 if node.opset >= 13 else 1)

    def softmax(x):
        if node.opset < 13 and axis not in (-1, x.dim() - 1):
            raise NotImplementedError(f"Softmax '{node.name}': axis {axis} of {x.dim()}")
        return torch.softmax(x, axis)
    return softmax


def make_depth_to_space(node):
    size, mode = node.get("blocksize"), node.get("mode", "DCR")
    if mode == "CRD":
        return lambda x: functional.pixel_shuffle(x, size)

    def shuffle(x):
        n, c, h, w = x.shape
        x = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // size**2, h * size, w * size)
    return shuffle


def make_unsqueeze(node):
    axes = node.integers(1, "axes")

    def unsqueeze(x, *_):
        for axis in sorted(a + x.dim() + len(axes) if a < 0 else a for a in axes):
            x = x.unsqueeze(axis)
        return x
    return unsqueeze


def make_cast(node):
    to = node.get("to")
    kinds = {onnx.TensorProto.INT64: torch.int64, onnx.TensorProto.INT32: torch.int32,
             onnx.TensorProto.BOOL: torch.bool}
    if to == onnx.TensorProto.FLOAT:
        return lambda x: x if x.is_floating_point() else x.float()
    return lambda x: x.to(kinds[to])


def make_prelu(_):
    return lambda x, slope: torch.where(x < 0, x * slope, x)


def make_tile(node):
    repeats = node.integers(1)
    return lambda x, *_: x.repeat(repeats)


def make_expand(node):
    wanted = node.integers(1)
    return lambda x, *_: x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(wanted)))


def make_cumsum(node):
    axis = int(node.constant(1))
    return lambda x, *_: torch.cumsum(x, axis)


def make_squeeze(node):
    axes = node.integers(1, "axes")
    return lambda x, *_: x.squeeze(tuple(axes)) if axes else x.squeeze()


def make_flatten(node):
    axis = node.get("axis", 1)
    return lambda x: x.reshape(int(numpy.prod(x.shape[:axis], dtype=int)), -1)


def whole_division(x, y):
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


# What is a function of PyTorch by another name.
PLAIN = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": whole_division, "Pow": torch.pow,
         "MatMul": torch.matmul, "Where": torch.where, "Relu": torch.relu, "Sigmoid": torch.sigmoid,
         "Tanh": torch.tanh, "Abs": torch.abs, "Neg": torch.neg, "Exp": torch.exp, "Log": torch.log,
         "Sqrt": torch.sqrt, "Sin": torch.sin, "Cos": torch.cos, "Not": torch.logical_not,
         "Identity": lambda x: x}
MADE = {
    "Conv": make_conv, "ConvTranspose": make_conv_transpose, "MaxPool": make_max_pool,
    "AveragePool": make_average_pool, "BatchNormalization": make_batch_norm, "Resize": make_resize,
    "Upsample": make_resize, "Slice": make_slice, "Pad": make_pad, "Gather": make_gather,
    "Reshape": make_reshape, "Split": make_split, "Softmax": make_softmax,
    "DepthToSpace": make_depth_to_space, "Unsqueeze": make_unsqueeze, "Squeeze": make_squeeze,
    "Cast": make_cast, "PRelu": make_prelu, "Tile": make_tile, "Expand": make_expand,
    "CumSum": make_cumsum, "Flatten": make_flatten,
    "Transpose": lambda node: lambda x: x.permute(node.get("perm", list(reversed(range(x.dim()))))),
    "Concat": lambda node: lambda *xs: torch.cat(xs, node.get("axis")),
    "Shape": lambda node: lambda x: torch.tensor(x.shape, dtype=torch.int64),
    "ReduceMean": lambda node: make_reduce(node, torch.mean),
    "ReduceSum": lambda node: make_reduce(node, torch.sum),
    "ReduceMax": lambda node: make_reduce(node, torch.amax),
}
# Their other inputs are read when the module is made.
FIRST_INPUT_ONLY = {"Resize", "Upsample", "Slice", "Pad", "Reshape", "Split", "Unsqueeze", "Squeeze",
                    "Tile", "Expand", "CumSum", "ReduceMean", "ReduceSum", "ReduceMax"}


def make_function(node):
    if node.op in PLAIN:
        return PLAIN[node.op]
    if node.op not in MADE:
        raise NotImplementedError(f"{node.op} '{node.name}'")
    return MADE[node.op](node)


def fold_batch_norms(protos, constants):
    """Convolutions that alone feed a batch normalisation take it on; gives the nodes that are left."""
    readers = {}
    for proto in protos:
        for name in proto.input:
            readers[name] = readers.get(name, 0) + 1
    makers = {proto.output[0]: proto for proto in protos}
    left = []
    for proto in protos:
        conv = makers.get(proto.input[0]) if proto.op_type == "BatchNormalization" else None
        if conv is None or conv.op_type != "Conv" or readers[proto.input[0]] > 1:
            left.append(proto)
            continue
        epsilon = next((a.f for a in proto.attribute if a.name == "epsilon"), 1e-5)
        scale, bias, mean, variance = (constants[name].double() for name in proto.input[1:5])
        factor = scale / torch.sqrt(variance + epsilon)
        before = constants[conv.input[2]].double() if len(conv.input) > 2 else 0
        weights, shift = f"{conv.output[0]}.weights", f"{conv.output[0]}.bias"
        constants[weights] = (constants[conv.input[1]].double() * factor.reshape(-1, 1, 1, 1)).float()
        constants[shift] = ((before - mean) * factor + bias).float()
        data = conv.input[0]
        del conv.input[:]
        conv.input.extend([data, weights, shift])
        conv.output[0] = proto.output[0]
        makers[proto.output[0]] = conv
    return left


class OnnxModule(torch.nn.Module):
    """path: the file. shapes: of its inputs, in order."""

    def __init__(self, path, shapes):
        super().__init__()
        model = onnx.load(path)
        opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        constants = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy())
                     for i in model.graph.initializer}
        self.input_names = [i.name for i in model.graph.input if i.name not in constants]
        self.output_names = [o.name for o in model.graph.output]
        self.steps, self.buffers_of = [], {}
        protos = []
        for proto in model.graph.node:
            if proto.op_type == "Constant":
                value = proto.attribute[0]
                array = numpy_helper.to_array(value.t) if value.name == "value" else \
                    numpy.array(onnx.helper.get_attribute_value(value))
                constants[proto.output[0]] = torch.from_numpy(array.copy())
            else:
                protos.append(proto)
        self.add_steps(fold_batch_norms(protos, constants), opset, constants, shapes)

    def add_steps(self, protos, opset, constants, shapes):
        """Goes through the graph once, with zeros for its inputs, to know shapes."""
        values = {name: torch.zeros(shape) for name, shape in zip(self.input_names, shapes)}
        for proto in protos:
            node = Node(proto, opset, constants)
            function = make_function(node)
            names = node.inputs[:1] if node.op in FIRST_INPUT_ONLY else node.inputs
            with torch.no_grad():
                found = function(*(constants[n] if n in constants else values[n] for n in names if n))
            outputs = found if isinstance(found, tuple) else (found,)
            known = node.op == "Shape" or all(n in constants for n in names if n)
            (constants if known else values).update(zip(node.outputs, outputs))
            if not known:
                self.steps.append((function, [self.keep(n, constants) for n in names if n], node.outputs))
        missing = [name for name in self.output_names if name not in values]
        if missing:
            raise NotImplementedError(f"outputs {missing} are constants")

    def keep(self, name, constants):
        """A value's name; a constant becomes a buffer, which goes along to devices and types."""
        if name not in constants:
            return name
        if name not in self.buffers_of:
            self.buffers_of[name] = f"constant_{len(self.buffers_of)}"
            self.register_buffer(self.buffers_of[name], constants[name])
        return self.buffers_of[name]

    def forward(self, *inputs):
        values = dict(zip(self.input_names, inputs))
        constants = dict(self.named_buffers())
        for function, names, outputs in self.steps:
            found = function(*(constants[n] if n in constants else values[n] for n in names))
            values.update(zip(outputs, found if isinstance(found, tuple) else (found,)))
        return tuple(values[name] for name in self.output_names)


def read_list(bundle):
    """Lines of models.txt, with shapes and the path that is to be opened."""
    with open(os.path.join(bundle, "models.txt"), encoding="ascii") as file:
        for line in file:
            words = dict(word.split("=", 1) for word in line.split())
            words["shapes"] = [[int(d) for d in shape.split("x")] for shape in words["shapes"].split(",")]
            inside = os.path.join(bundle, words["file"])
            words["path"] = inside if os.path.exists(inside) else words["file"]
            yield words


def read_data(bundle, name, kind, shapes):
    return [torch.from_numpy(numpy.fromfile(os.path.join(bundle, "data", f"{name}.{kind}.{i}"),
                                            numpy.float32).reshape(shape))
            for i, shape in enumerate(shapes)]


def worst_error(found, bundle, name):
    """Norm of the difference over norm, of the worst output, beside the reference's."""
    wanted = read_data(bundle, name, "out", [tuple(output.shape) for output in found])
    errors = [float((a.float().cpu() - b).double().norm() / (b.double().norm() + 1e-30))
              for a, b in zip(found, wanted)]
    return max(errors)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    bundle, bad = sys.argv[1], 0
    for words in read_list(bundle):
        module = OnnxModule(words["path"], words["shapes"]).eval()
        with torch.no_grad():
            found = module(*read_data(bundle, words["name"], "in", words["shapes"]))
        error = worst_error(found, bundle, words["name"])
        bad += not error <= BOUND
        print(f"{words['name']}: {error:.1e} off{'' if error <= BOUND else ', too much'}", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
