"""What modules compute, written so that every toolchain computes it rightly."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SaferOperators(TorchFunctionMode):
    """Within the block, an average over one window that reaches beyond the image is the mean of the image.

    That is what PyTorch makes of ``avg_pool2d`` with ``ceil_mode``; Hugging Face's EfficientNet ends so, with windows
    as large as it has channels. OpenVINO refuses it, and int8 kernels of ONNX Runtime and LiteRT divide by the size of
    the whole window without a word.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.avg_pool2d and _is_whole(*args, **kwargs):
            return args[0].mean((-2, -1), keepdim=True)
        return func(*args, **kwargs)


def _is_whole(
    x: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> bool:
    kernel, step, pad = (_pair(value) for value in (kernel_size, stride or kernel_size, padding))
    size = x.shape[-2:]
    beyond = all(isinstance(s, int) and k >= s for k, s in zip(kernel, size, strict=True))
    return beyond and ceil_mode and step == kernel and pad == (0, 0) and divisor_override is None


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 if len(value) == 1 else 1)
