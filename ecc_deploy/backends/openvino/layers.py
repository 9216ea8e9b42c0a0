"""What modules give inside OpenVINO IR."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import openvino as ov

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.layers import Arrays, Shown, in_batches
from ecc_deploy.backends.onnx_graph import OUTPUT_SUFFIX
from ecc_deploy.backends.openvino.signal_stack import kept_signal_stack
from ecc_deploy.bundle.manifest import Half

AS_THE_FILE_SAYS = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": "NO"}
"""Quantizers are computed as such. With its integer kernels, the CPU plugin of 2026.4 gave zeros where the output of a
quantizer behind a ReLU6 was asked for, and went on with them."""


def show_layers(path: Path, half: Half, source: HalfSource, batches: Iterable[Arrays]) -> Iterator[Shown]:
    """See :class:`~ecc_deploy.backends.layers.Layers`. Tensors still have the names of the ONNX graph that they had."""
    core = ov.Core()
    model = core.read_model(path, path.with_suffix(".bin"))
    ports = _visible(model)
    model.add_outputs(list(ports.values()))
    with kept_signal_stack():
        compiled = core.compile_model(model, "CPU", AS_THE_FILE_SAYS)
    ends, inside = compiled.outputs[: len(half.outputs)], compiled.outputs[len(half.outputs) :]

    def run(arrays: Arrays) -> Shown:
        found = compiled({name: np.ascontiguousarray(values) for name, values in arrays.items()})
        return Shown(
            {name: np.array(found[port], np.float32) for name, port in zip(ports, inside, strict=True)},
            {port.get_any_name(): np.array(found[port]) for port in ends},
        )

    for batch in batches:
        yield in_batches(half, batch, run)


def _visible(model: ov.Model) -> dict[str, ov.Output]:
    """The port to look at, by the path of the module that gave it: behind the quantizer, where all go through one."""
    found = {}
    for operation in model.get_ordered_ops():
        for port in operation.outputs():
            names = [name for name in port.get_names() if name.endswith(OUTPUT_SUFFIX)]
            users = [entry.get_node() for entry in port.get_target_inputs()]
            seen = port
            if users and all(user.get_type_name() == "FakeQuantize" for user in users):
                if len(users) != 1:
                    continue
                seen = users[0].output(0)
            found.update({name.removesuffix(OUTPUT_SUFFIX): seen for name in names})
    return found
