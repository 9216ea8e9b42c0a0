"""Operators of which LiteRT's converter makes what its runtime cannot run, written with others that it can."""

from __future__ import annotations

from typing import Any

import torch
from litert_torch.fx_infra import decomp

_MOST = 16
"""Above this many the graph would grow too long, and the converter's own way is taken."""


def register() -> None:
    """Tell the converter; doing it twice is harmless."""
    decomp.add_pre_convert_decomp(torch.ops.aten.topk.default, _topk)


def _topk(x: torch.Tensor, k: int, dim: int = -1, largest: bool = True, in_order: bool = True) -> Any:
    """The largest, then the largest of the rest, and so on: the converter makes STABLEHLO_SORT of it."""
    if k > _MOST or not largest:
        return NotImplemented
    dim %= x.dim()
    shape = [-1 if place == dim else 1 for place in range(x.dim())]
    places = torch.arange(x.shape[dim]).reshape(shape)
    values, indices, rest = [], [], x
    for _ in range(k):
        values.append(rest.amax(dim, keepdim=True))
        indices.append(rest.argmax(dim, keepdim=True))
        rest = torch.where(places == indices[-1], torch.finfo(x.dtype).min, rest)
    return torch.cat(values, dim), torch.cat(indices, dim)
