"""Full-integer int8 in .tflite files: weights per channel, activations per tensor, int8 in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe

from ecc_deploy.backends.interface import Calibration, HalfSource, Job
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.backends.scopes import inside
from ecc_deploy.backends.tflite.biases import flat_biases
from ecc_deploy.backends.tflite.interpreter import open_interpreter
from ecc_deploy.backends.tflite.scopes import operators_of, scopes_of
from ecc_deploy.bundle.manifest import CONFIDENCE
from ecc_deploy.errors import UsageError
from ecc_deploy.quantization.products import has_outliers
from ecc_deploy.quantization.ranges import Range, RangeMethod, find_ranges

Node = dict[str, Any]
_Operation = qtyping.TFLOperationName
QUANTIZED_ALWAYS = {
    *(_Operation.ALL_SUPPORTED, _Operation.INPUT, _Operation.OUTPUT),
    *(_Operation.CONV_2D, _Operation.DEPTHWISE_CONV_2D, _Operation.CONV_2D_TRANSPOSE),
    *(_Operation.FULLY_CONNECTED, _Operation.BATCH_MATMUL),
}
"""Products, and the ends of the file; see :func:`~ecc_deploy.quantization.products.has_outliers`."""


def quantize(content: bytes, source: HalfSource, job: Job) -> bytes:
    """The float file ``content`` of ``source`` in int8.

    A learned gate stays float: it costs next to nothing, and its answer is compared with a threshold.
    """
    content = flat_biases(content)
    graph = _Graph(content, job.threads)
    found = graph.ranges(job.calibration, job.ranges)
    boundary = source.boundary
    if boundary is not None and boundary.scale is not None:
        # 256 codes of the learned step from zero on: the file's own quantization is the boundary's.
        found[graph.ends[boundary.tensor.name]["name"]] = (0.0, 255 * boundary.scale)
    statistics = {}
    for name, (low, high) in found.items():
        shape = (1,) * graph.ranks[name]
        statistics[name] = {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}
    chosen: Any = recipe.static_wi8_ai8()
    worker = quantizer.Quantizer(bytearray(content), chosen)
    if has_outliers(source.module):
        for operation in [one for one in _Operation if one not in QUANTIZED_ALWAYS]:
            worker.update_quantization_recipe(".*", operation, algorithm_key="no_quantize")
    for name in [*graph.only_for(CONFIDENCE), *graph.made_by(job.exclude, source)]:
        worker.update_quantization_recipe(_exactly(name), "*", algorithm_key="no_quantize")
    if boundary is not None and boundary.scale is not None and boundary.tensor.name in graph.exits:
        # Codes are sent, whatever is computed in float before them.
        end = _exactly(graph.exits[boundary.tensor.name]["name"])
        worker.add_static_config(end, "OUTPUT", activation_num_bits=8, weight_num_bits=8)
    with quiet():
        result = worker.quantize(statistics, enable_progress_report=False)
    assert result.quantized_model is not None
    return bytes(result.quantized_model)


def _exactly(name: str) -> str:
    """A pattern for the operator that makes the tensor ``name`` alone: the quantizer knows it by that and a semicolon.

    What takes the outputs of the file is one more operator for it, with the names of all of them.
    """
    return rf"^{re.escape(name)};$"


class _Graph:
    """A float file opened so that every tensor in it can be looked at."""

    def __init__(self, content: bytes, threads: int) -> None:
        self._interpreter = open_interpreter(content, threads, shows_all=True)
        signature = self._interpreter.get_signature_runner()
        entries, self.exits = signature.get_input_details(), signature.get_output_details()
        self.ends = {**entries, **self.exits}
        """Inputs and outputs by the names of the signature."""
        (self._entry,) = entries.values()
        self._nodes: list[Node] = self._interpreter._get_ops_details()  # no public call shows the graph
        tensors = self._interpreter.get_tensor_details()
        self._names = {int(tensor["index"]): tensor["name"] for tensor in tensors}
        self.ranks = {tensor["name"]: len(tensor["shape"]) for tensor in tensors}
        """Dimensions of every tensor, by its name."""

    def ranges(self, calibration: Calibration, how: RangeMethod) -> dict[str, Range]:
        """The range of every tensor that is computed, by its name."""
        made = {int(index) for node in self._nodes for index in node["outputs"]} | {int(self._entry["index"])}
        interpreter = self._interpreter

        def activations() -> Iterable[Mapping[str, np.ndarray]]:
            for batch in calibration:
                (values,) = batch.values()
                values = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
                for sample in values:
                    interpreter.set_tensor(self._entry["index"], np.ascontiguousarray(sample[np.newaxis]))
                    interpreter.invoke()
                    seen = {self._names[index]: interpreter.get_tensor(index) for index in made}
                    yield {name: value for name, value in seen.items() if value.dtype == np.float32}

        return find_ranges(activations, how)

    def only_for(self, output: str) -> list[str]:
        """Names of what ``output`` needs and no other output does; empty where there is no such output."""
        if output not in self.exits:
            return []
        makers = {int(index): node for node in self._nodes for index in node["outputs"]}

        def needed(ends: Iterable[Mapping[str, Any]]) -> set[int]:
            found: set[int] = set()
            todo = [int(end["index"]) for end in ends]
            while todo:
                index = todo.pop()
                if index in makers and index not in found:
                    found.add(index)
                    todo += map(int, makers[index]["inputs"])
            return found

        own = needed([self.exits[output]])
        others = needed(end for name, end in self.exits.items() if name != output)
        return [self._names[index] for index in sorted(own - others)]

    def made_by(self, paths: Sequence[str], source: HalfSource) -> list[str]:
        """Names of what the modules at ``paths`` of ``source`` make.

        Raises :class:`UsageError` for one that makes nothing.
        """
        if not paths:
            return []
        operators = operators_of(self._nodes, self._names, scopes_of(source))
        found = []
        for path in paths:
            own = [
                o for operator in operators if any(inside(p, path) for p in operator.parts) for o in operator.outputs
            ]
            if not own:
                known = ", ".join(sorted({part for operator in operators for part in operator.parts if part}))
                raise UsageError(
                    f"no operator belongs to the module {path!r}, which is to stay float", f"Known: {known}."
                )
            found += [self._names[int(number)] for number in own]
        return found
