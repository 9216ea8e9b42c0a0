"""A half's module as toolchains that read PyTorch want it: tensors by name, in their layout, the boundary in codes."""

from __future__ import annotations

import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource


class NamedHalf(nn.Module):
    """One half with one input and a dictionary of outputs.

    ``nhwc``: images and boundary cross in NHWC. ``codes``: how an integer boundary leaves and enters:

    * ``"values"``: float32, for a toolchain that quantizes its inputs and outputs itself;
    * ``"codes"``: float32 holding whole numbers, ``clip(round(x / scale), 0, 2^bits - 1)``, rounded to even.
    """

    def __init__(self, source: HalfSource, *, nhwc: bool = False, codes: str = "codes") -> None:
        super().__init__()
        self.model = source.module
        self._names = [tensor.name for tensor in source.outputs]
        self._nhwc = nhwc
        self._codes = codes
        boundary = source.boundary
        self._boundary = boundary.tensor.name if boundary is not None and boundary.scale is not None else None
        self._scale = boundary.scale if boundary is not None and boundary.scale is not None else 1.0
        self._top = float(2**boundary.bits - 1) if boundary is not None else 0.0
        self._takes_boundary = source.inputs[0].name == self._boundary

    def forward(
        self, image: torch.Tensor | None = None, boundary: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        x = boundary if image is None else image
        assert x is not None
        if self._nhwc and x.dim() == 4:
            x = x.permute(0, 3, 1, 2)
        if self._takes_boundary and self._codes == "codes":
            x = x * self._scale
        found = self.model(x)
        outputs = dict(zip(self._names, found if isinstance(found, tuple) else (found,), strict=True))
        for name, value in outputs.items():
            if name == self._boundary:
                value = self._sent(value)
            if self._nhwc and value.dim() == 4:
                value = value.permute(0, 2, 3, 1)
            outputs[name] = value
        return outputs

    def _sent(self, value: torch.Tensor) -> torch.Tensor:
        return value if self._codes == "values" else (value / self._scale).round().clamp(0.0, self._top)
