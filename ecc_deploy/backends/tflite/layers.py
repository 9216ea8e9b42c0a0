"""What modules give inside .tflite files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.layers import Arrays, Shown, in_batches
from ecc_deploy.backends.scopes import module_outputs
from ecc_deploy.backends.tflite.interpreter import open_interpreter
from ecc_deploy.backends.tflite.layout import channels_last, without_transposes
from ecc_deploy.backends.tflite.runner import as_they_are, from_file, to_file
from ecc_deploy.backends.tflite.scopes import operators_of, scopes_of
from ecc_deploy.bundle.manifest import Half


def show_layers(path: Path, half: Half, source: HalfSource, batches: Iterable[Arrays]) -> Iterator[Shown]:
    """See :class:`~ecc_deploy.backends.layers.Layers`.

    By LiteRT's own kernels, not XNNPACK's: those keep what is inside for themselves.
    """
    file = _File(path, half, source)
    for batch in batches:
        yield in_batches(half, batch, file.run)


class _File:
    """A file opened so that every tensor in it can be looked at; no more than numbers and functions is kept of it."""

    def __init__(self, path: Path, half: Half, source: HalfSource) -> None:
        interpreter = open_interpreter(path.read_bytes(), shows_all=True)
        self._interpreter = interpreter
        details = interpreter.get_tensor_details()
        names = {int(tensor["index"]): str(tensor["name"]) for tensor in details}
        nodes = interpreter._get_ops_details()  # no public call shows the graph
        exits = {str(tensor["index"]) for tensor in interpreter.get_output_details()}
        one_order = without_transposes(nodes, interpreter.get_tensor)
        scopes = scopes_of(source)
        found = module_outputs(operators_of(one_order, names, scopes), exits)
        self._modules = {module: int(number) for number, module in found.items()}
        self._shapes = {scope.path: scope.shape for scope in scopes.values()}
        images = {int(tensor["index"]) for tensor in interpreter.get_input_details() if len(tensor["shape"]) == 4}
        self._images = channels_last(nodes, images, interpreter.get_tensor)
        self._scales = {int(tensor["index"]): tensor["quantization"] for tensor in details}
        signature = interpreter.get_signature_runner()
        entries = as_they_are(signature.get_input_details(), interpreter.get_input_details())
        ends = as_they_are(signature.get_output_details(), interpreter.get_output_details())
        top = half.compiled.get("top_code", 255)
        assert isinstance(top, int)
        self._inputs = {t.name: (entries[t.name]["index"], to_file(entries[t.name], t)) for t in half.inputs}
        self._outputs = {t.name: (ends[t.name]["index"], from_file(ends[t.name], t, top)) for t in half.outputs}

    def run(self, arrays: Arrays) -> Shown:
        for name, values in arrays.items():
            index, convert = self._inputs[name]
            self._interpreter.set_tensor(index, convert(values))
        self._interpreter.invoke()
        return Shown(
            {path: self._value(number, self._shapes[path]) for path, number in self._modules.items()},
            {name: convert(self._interpreter.get_tensor(index)) for name, (index, convert) in self._outputs.items()},
        )

    def _value(self, number: int, shape: tuple[int, ...] | None) -> np.ndarray:
        scale, zero_point = self._scales[number]
        values: np.ndarray = self._interpreter.get_tensor(number).astype(np.float32)
        if scale:  # 0 of what is float
            values = (values - np.float32(zero_point)) * np.float32(scale)
        if values.ndim != 4 or number not in self._images:
            return values
        turned = values.transpose(0, 3, 1, 2)
        return values if values.shape == shape != turned.shape else turned  # modules that work in NHWC themselves
