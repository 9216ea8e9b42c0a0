"""What a module costs to run: multiply-accumulates of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ecc_deploy.zoo.backbone import evaluating


def macs(module: nn.Module, input_shape: Sequence[int]) -> int:
    """Multiply-accumulates of one sample of ``input_shape`` (without batch): half of torch's FLOP count.

    Convolutions and matrix products are counted; element-wise work is not, as is the field's custom.
    """
    counter = FlopCounterMode(display=False)
    with evaluating(module), counter:
        module(torch.zeros(1, *input_shape))
    return counter.get_total_flops() // 2
