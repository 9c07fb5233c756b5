"""float32 products to float32's last bits, where TensorRT multiplies in TF32 whatever it is told.

TensorRT-RTX 1.4 ignores that BuilderFlag.TF32 is cleared: it rounds the factors of every float32 product to 11 bits
(measured on an H200: errors of 3e-4 where float32's are 1e-7). Products of numbers that have no more than 8 bits are
exact even so. Hence each factor is cut into three bfloat16 numbers, x = x1 + x2 + x3, of 8 bits each, and

    x y = x1 y1 + (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1)

up to terms below 2^-24 of the whole; what Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial Intelligence
Datatype For Higher-Precision Computations" (2019), call bf16x3.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import NodeProto, TensorProto, helper

_PRODUCTS = ("MatMul", "Gemm")
_PAIRS = ((2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0))
"""Pieces of the two factors, the smallest products first."""


def with_exact_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph whose products are sums of products of bfloat16 pieces; its inputs and outputs are the same."""
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    pieces: dict[str, list[str]] = {}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type in _PRODUCTS:
            nodes.extend(_product(node, pieces))
        else:
            nodes.append(node)
    del exact.graph.node[:]
    exact.graph.node.extend(nodes)
    return exact


def _product(node: NodeProto, pieces: dict[str, list[str]]) -> Iterable[NodeProto]:
    (output,) = node.output
    for factor in node.input[:2]:
        if factor not in pieces:
            pieces[factor] = [f"{factor}/piece{i}" for i in range(3)]
            yield from _cut(factor, pieces[factor])
    left, right = (pieces[factor] for factor in node.input[:2])
    terms = []
    for i, j in _PAIRS:
        term = NodeProto()
        term.CopyFrom(node)
        del term.input[:], term.output[:]
        term.name = f"{output}/product{i}{j}"
        term.input.extend([left[i], right[j]])
        term.output.append(term.name)
        terms.append(term.name)
        yield term
    terms.extend(node.input[2:])  # a Gemm's bias
    total = terms[0]
    for count, term_name in enumerate(terms[1:], start=2):
        name = output if count == len(terms) else f"{output}/sum{count}"
        yield helper.make_node("Add", [total, term_name], [name], name=name)
        total = name


def _cut(factor: str, names: list[str]) -> Iterable[NodeProto]:
    """Nodes for factor = names[0] + names[1] + names[2], each a bfloat16 number in float32."""
    rest = factor
    for index, name in enumerate(names[:2]):
        low, left = f"{name}/bfloat16", f"{factor}/rest{index}" if index == 0 else names[2]
        yield helper.make_node("Cast", [rest], [low], name=low, to=TensorProto.BFLOAT16)
        yield helper.make_node("Cast", [low], [name], name=name, to=TensorProto.FLOAT)
        yield helper.make_node("Sub", [rest, name], [left], name=left)
        rest = left
