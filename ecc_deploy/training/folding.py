"""Batch normalisation folded into convolutions, for a model that only answers: a teacher."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(module: nn.Module) -> nn.Module:
    """A frozen copy of ``module`` in evaluation mode, for a forward pass with fewer trips through memory.

    In every ``nn.Sequential``, each batch normalisation straight behind a 2-d convolution becomes part of it. What
    stands elsewhere stays as it is. Answers are the same up to rounding.
    """
    module = copy.deepcopy(module).eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.Sequential):
            _fold(part)
    return module


def _fold(sequence: nn.Sequential) -> None:
    """In place; a folded normalisation leaves an identity, so that the others keep their places."""
    for place, (convolution, norm) in enumerate(itertools.pairwise(list(sequence))):
        # Exact types: a parametrised or own one may do more than its base class.
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
            sequence[place] = fuse_conv_bn_eval(convolution, norm)
            sequence[place + 1] = nn.Identity()
