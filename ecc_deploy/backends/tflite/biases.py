"""Biases in the shape that LiteRT's quantizer expects of them."""

from __future__ import annotations

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER = b"TFL3"


def flat_biases(content: bytes) -> bytes:
    """The float .tflite file ``content`` with biases of one dimension.

    Where a scale was folded into a fully connected layer, as ConvNeXt's layer scale is, the converter gives its bias
    the shape ``[1, 1, 1, N]``. The quantizer then writes N scales for its first dimension, which the runtime refuses.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    changed = False
    for graph in model.subgraphs:
        for operator in graph.operators:
            if codes[operator.opcodeIndex] != schema.BuiltinOperator.FULLY_CONNECTED or len(operator.inputs) < 3:
                continue
            place = operator.inputs[2]
            if place >= 0 and len(graph.tensors[place].shape) > 1:
                graph.tensors[place].shape = [int(graph.tensors[place].shape[-1])]
                changed = True
    if not changed:
        return content
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())
