"""PyTorch modules as clean ONNX graphs, and the boundary of a half in the graph. Shared by backends that read ONNX."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterable

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.rewrites import SaferOperators
from ecc_deploy.backends.scopes import Operator, inside, module_outputs
from ecc_deploy.bundle.manifest import Boundary
from ecc_deploy.errors import CompileError, UsageError
from ecc_deploy.zoo.backbone import evaluating

OPSET = 20
SCOPES = "pkg.torch.onnx.name_scopes"  # the module path, for messages; stack traces would hold file paths
NO_SCOPE = "_empty_nn_module_stack"  # what torch.export writes where it has lost the module
FLOAT_SUFFIX = "_float"
OUTPUT_SUFFIX = "/output"  # behind a module's path: the tensor that it gives


def to_onnx(source: HalfSource, opset: int = OPSET) -> onnx.ModelProto:
    """Export the half's module with a dynamic batch; the same module gives the same bytes on any machine.

    Operators are named after the module that made them, and what a module gives is called ``<its path>/output``.
    An integer boundary is called ``<name>_float`` here; :func:`send_codes` and :func:`take_codes` put the codes in.
    Raises :class:`CompileError` where the module cannot be exported.
    """
    batch = torch.export.Dim("batch", min=1, max=64)
    examples = tuple(torch.zeros(2, *info.shape) for info in source.inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of every library that is not installed
    try:
        with warnings.catch_warnings(), evaluating(source.module), SaferOperators():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                source.module,
                examples,
                dynamo=True,
                opset_version=opset,
                input_names=[float_name(source, info.name) for info in source.inputs],
                output_names=[float_name(source, info.name) for info in source.outputs],
                dynamic_shapes=tuple({0: batch} for _ in examples),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        raise CompileError(
            f"the {source.side} half {source.key!r} cannot be exported to ONNX: {error}",
            "torch.export must be able to trace the module: no data-dependent Python control flow.",
        ) from error
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        kept = [p for p in node.metadata_props if p.key == SCOPES]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
        node.doc_string = ""
    for holder in (model, model.graph, *model.graph.value_info, *model.graph.initializer, *model.functions):
        del holder.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    name_operators(model)
    _name_module_outputs(model)
    return model


def name_operators(model: onnx.ModelProto) -> None:
    """Name every operator ``<path of its module>/<operator>_<number>``, in place."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{module_of(node) or node.name.partition('/')[0] or 'half'}/{node.op_type}_{number}"


def _name_module_outputs(model: onnx.ModelProto) -> None:
    """In the float graph the modules' scopes are still whole. A tensor keeps its name, and its meaning, through what
    toolchains do to operators: fuse them, fold them, quantize them.
    """
    nodes = model.graph.node
    if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for n in nodes for a in n.attribute):
        return  # the body of a branch or a loop may read any of them
    paths = [_scope(node) for node in nodes]
    operators = [
        Operator(path, frozenset(() if path is None else [path]), tuple(node.input), tuple(filter(None, node.output)))
        for path, node in zip(paths, nodes, strict=True)
    ]
    exits = {value.name for value in model.graph.output}
    names = {
        tensor: path + OUTPUT_SUFFIX for tensor, path in module_outputs(operators, exits).items() if tensor not in exits
    }
    for node in nodes:
        for ends in (node.input, node.output):
            ends[:] = [names.get(name, name) for name in ends]
    for value in model.graph.value_info:
        value.name = names.get(value.name, value.name)


def module_of(node: onnx.NodeProto) -> str:
    """Path of the module within the half that made ``node``, such as ``stages.stage1.0``; empty where unknown.

    A batch norm that was folded into a convolution gives its own path to both.
    """
    return _scope(node) or ""


def _scope(node: onnx.NodeProto) -> str | None:
    """Empty for the half itself, ``None`` where nothing tells."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes = ast.literal_eval(entry.value)
            path = str(scopes[-2]) if len(scopes) > 1 else ""
            return None if path.startswith(NO_SCOPE) else path
    return None


def nodes_of(model: onnx.ModelProto, paths: Iterable[str]) -> list[str]:
    """Names of the nodes that the modules at ``paths`` made. Raises :class:`UsageError` where one made none.

    A convolution that was folded with its batch norm belongs to both: its weight still has the convolution's name.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    owners = {
        node.name: {module_of(node), *(name.rpartition(".")[0] for name in node.input if name in constants)} - {""}
        for node in model.graph.node
    }
    found = []
    for path in paths:
        own = [name for name, paths_of in owners.items() if any(inside(owner, path) for owner in paths_of)]
        if not own:
            known = ", ".join(sorted({owner for paths_of in owners.values() for owner in paths_of}))
            raise UsageError(f"no operator belongs to the module {path!r}, which is to stay float", f"Known: {known}.")
        found += own
    return found


def float_name(source: HalfSource, name: str) -> str:
    """What an input or output of ``source`` is called in :func:`to_onnx`'s graph."""
    is_codes = source.boundary is not None and source.boundary.tensor.dtype != "float32"
    return name + FLOAT_SUFFIX if is_codes and source.boundary and name == source.boundary.tensor.name else name


def _constants(boundary: Boundary) -> list[onnx.TensorProto]:
    assert boundary.scale is not None
    kind = np.dtype(boundary.tensor.dtype)
    return [
        numpy_helper.from_array(np.asarray(boundary.scale, np.float32), "boundary_scale"),
        numpy_helper.from_array(np.asarray(boundary.zero_point, kind), "boundary_zero_point"),
    ]


def _value(boundary: Boundary) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(boundary.tensor.dtype))
    return helper.make_tensor_value_info(boundary.tensor.name, kind, ["batch", *boundary.tensor.shape])


def only_for(model: onnx.ModelProto, output: str) -> list[str]:
    """Names of the nodes that ``output`` needs and no other output of the graph does; empty where there is none."""
    makers = {name: node for node in model.graph.node for name in node.output}

    def needed(outputs: list[str]) -> set[str]:
        found: set[str] = set()
        todo = [makers[name] for name in outputs if name in makers]
        while todo:
            node = todo.pop()
            if node.name not in found:
                found.add(node.name)
                todo += [makers[name] for name in node.input if name in makers]
        return found

    names = [value.name for value in model.graph.output]
    own = needed([name for name in names if name == output])
    return sorted(own - needed([name for name in names if name != output]))


def send_codes(model: onnx.ModelProto, boundary: Boundary) -> None:
    """Make an edge half give codes: quantize its float boundary once, clipped to the boundary's bits, in place.

    Where static quantization has already put ``QuantizeLinear → DequantizeLinear`` on the boundary (with the
    boundary's own scale), that QuantizeLinear is the one, and the DequantizeLinear goes.
    """
    name = boundary.tensor.name
    graph = model.graph
    position = next(i for i, value in enumerate(graph.output) if value.name == name + FLOAT_SUFFIX)
    graph.output[position].CopyFrom(_value(boundary))
    last = next(node for node in graph.node if name + FLOAT_SUFFIX in node.output)
    if last.op_type == "DequantizeLinear":
        codes = last.input[0]
        graph.node.remove(last)
    else:
        codes = name + "_codes"
        graph.initializer.extend(_constants(boundary))
        inputs = [name + FLOAT_SUFFIX, "boundary_scale", "boundary_zero_point"]
        graph.node.append(helper.make_node("QuantizeLinear", inputs, [codes]))
    # QuantizeLinear saturates at 8 bits by itself; fewer bits need a clip of the codes.
    top = np.asarray(2**boundary.bits - 1, np.uint8)
    graph.initializer.append(numpy_helper.from_array(top, "boundary_top"))
    graph.node.append(helper.make_node("Clip", [codes, "", "boundary_top"], [name]))


def take_codes(model: onnx.ModelProto, boundary: Boundary) -> None:
    """Make a cloud half take codes and dequantize them, in place; the counterpart of :func:`send_codes`."""
    name = boundary.tensor.name
    graph = model.graph
    position = next(i for i, value in enumerate(graph.input) if value.name == name + FLOAT_SUFFIX)
    graph.input[position].CopyFrom(_value(boundary))
    readers = [node for node in graph.node if name + FLOAT_SUFFIX in node.input]
    quantizers = [node for node in readers if node.op_type == "QuantizeLinear"]
    for quantizer in quantizers:
        for node in graph.node:
            for i, source in enumerate(node.input):
                if source == quantizer.output[0]:
                    node.input[i] = name
        graph.node.remove(quantizer)
    if len(quantizers) < len(readers):
        graph.initializer.extend(_constants(boundary))
        inputs = [name, "boundary_scale", "boundary_zero_point"]
        graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [name + FLOAT_SUFFIX]))
