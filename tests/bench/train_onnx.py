"""Reads what make bench-train needs of an ONNX file, without ONNX's own package: nodes in order, with
attributes, and constants. Field numbers are those of onnx.proto."""
import struct
import sys

import numpy

sys.dont_write_bytecode = True
TYPES = {1: numpy.float32, 6: numpy.int32, 7: numpy.int64}


class Graph:
    """nodes: (op, inputs, output, attributes); constants: arrays by name; names of the rest."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, [], []


def read(path):
    with open(path, "rb") as file:
        model = fields(file.read())
    graph, parts = Graph(), fields(model[7][0])
    for data in parts.get(5, []):
        name, array = tensor(data)
        graph.constants[name] = array
    graph.inputs = [text(fields(data)[1][0]) for data in parts[11]]
    graph.inputs = [name for name in graph.inputs if name not in graph.constants]
    graph.outputs = [text(fields(data)[1][0]) for data in parts[12]]
    for data in parts[1]:
        node = fields(data)
        attributes = dict(attribute(a) for a in node.get(5, []))
        output, op = text(node[2][0]), text(node[4][0])
        if op == "Constant":
            graph.constants[output] = attributes["value"]
        else:
            graph.nodes.append((op, [text(name) for name in node.get(1, [])], output, attributes))
    return graph


def fields(data):
    """Field numbers with what each has: numbers, or bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value - (1 << 64) if value >> 63 else value, at


def numbers(values):
    """Repeated whole numbers, packed or not."""
    out = []
    for value in values:
        at = 0
        while isinstance(value, bytes) and at < len(value):
            number, at = varint(value, at)
            out.append(number)
        if isinstance(value, int):
            out.append(value)
    return out


def tensor(data):
    parts = fields(data)
    assert 9 in parts, "only raw data is read"
    array = numpy.frombuffer(parts[9][0], TYPES[parts[2][0]]).reshape(numbers(parts.get(1, [])))
    return text(parts.get(8, [b""])[0]), array


def attribute(data):
    parts = fields(data)
    kind = parts[20][0]
    value = {1: lambda: struct.unpack("<f", parts[2][0])[0], 2: lambda: parts.get(3, [0])[0],
             3: lambda: text(parts[4][0]), 4: lambda: tensor(parts[5][0])[1],
             7: lambda: numbers(parts.get(8, []))}[kind]()
    return text(parts[1][0]), value


def text(data):
    return data.decode()
