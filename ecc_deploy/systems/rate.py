"""The payload's bits as a training objective: a differentiable estimate of what the quantized boundary costs."""

from __future__ import annotations

import torch
from torch import nn

_SIDES = 4
"""What a neighbouring code is told by: its two top bits."""


class RateModel(nn.Module):
    """Code lengths of each channel's codes, learned by counting, and the rate of a boundary under them.

    The length of code ``k`` in channel ``c`` is ``-log2 p[c, above, left, k]``, with ``p`` a running mean of the codes'
    frequencies in training, given the codes above and to the left: what the codec that carries the payload knows too
    (:mod:`ecc_deploy.payload.ans`). Codes are integers and have no gradient, so the rate is taken at the *unrounded*
    code ``u``, by linear interpolation between the lengths of its two neighbours: exact at integers, and its slope is
    what one more step would cost. That a code is also its neighbours' context has no gradient.
    """

    MOMENTUM = 0.99
    PRIOR = 1e-3
    """Added to the frequencies of a channel, which are 1 in all, in equal parts: what never was has a length, and can
    come back; in a context that never was all codes have equal lengths."""

    def __init__(self, channels: int, bits: int) -> None:
        super().__init__()
        self.levels = 2**bits
        fresh = torch.full((channels, contexts(self.levels), self.levels), 1.0)
        self.register_buffer("frequencies", fresh / fresh[0].numel())
        self.frequencies: torch.Tensor
        self.register_buffer("batches", torch.zeros(()))
        self.batches: torch.Tensor

    @torch.no_grad()
    def count(self, codes: torch.Tensor) -> None:
        """Move the frequencies towards those of ``codes``, whole numbers as float or integer ``[N, C, H, W]``."""
        found = joint_counts(codes, self.levels)
        seen = found / found[0].sum()
        # A plain mean of the first batches, so that what was there before them does not linger.
        share = torch.clamp(1 / (self.batches + 1), min=1 - self.MOMENTUM)
        self.frequencies.lerp_(seen.to(self.frequencies.dtype), share)
        self.batches += 1

    def lengths(self) -> torch.Tensor:
        """Bits of each code, ``[C, contexts, 2^bits]``."""
        known = self.frequencies + self.PRIOR / self.frequencies[0].numel()
        return -torch.log2(known / known.sum(2, keepdim=True))

    def forward(self, unrounded: torch.Tensor) -> torch.Tensor:
        """Estimated bytes per sample, a scalar: the mean over the batch.

        ``unrounded``: codes before rounding, in [0, 2^bits - 1], float ``[N, C, H, W]``; the gradient flows to them.
        """
        lengths = self.lengths().flatten(1)
        low = unrounded.detach().floor().clamp(max=self.levels - 2)
        share = (unrounded - low).transpose(0, 1).flatten(1)
        place = context_of(unrounded.detach().round(), self.levels) * self.levels + low.long()
        index = place.transpose(0, 1).flatten(1)
        bits = torch.lerp(lengths.gather(1, index), lengths.gather(1, index + 1), share)
        return bits.sum() / (8 * len(unrounded))


def contexts(levels: int) -> int:
    """How many contexts a code below ``levels`` may stand in."""
    return min(levels, _SIDES) ** 2


def context_of(codes: torch.Tensor, levels: int) -> torch.Tensor:
    """The context of each code, int64 ``[N, C, H, W]``: its neighbours above and left, by their top bits.

    Outside of the map stand zeros.
    """
    sides = min(levels, _SIDES)
    told = codes.long() // (levels // sides)
    above = nn.functional.pad(told[:, :, :-1], (0, 0, 1, 0))
    left = nn.functional.pad(told[:, :, :, :-1], (1, 0))
    return above * sides + left


def joint_counts(codes: torch.Tensor, levels: int) -> torch.Tensor:
    """How often each code stands in each context, int64 ``[C, contexts, levels]``."""
    channels, cells = codes.shape[1], contexts(levels) * levels
    cell = (context_of(codes, levels) * levels + codes.long()).transpose(0, 1).flatten(1)
    offsets = torch.arange(channels, device=codes.device)[:, None] * cells
    counted = torch.bincount((cell + offsets).flatten(), minlength=channels * cells)
    return counted.view(channels, contexts(levels), levels)


def ideal_bytes(codes: torch.Tensor, levels: int) -> float:
    """Bytes per sample of an ideal code that knows the neighbours, fitted to these very codes: conditional entropy.

    ``codes``: whole numbers ``[N, C, H, W]`` below ``levels``.
    """
    counts = joint_counts(codes, levels).double()
    bits = torch.xlogy(counts.sum(2), counts.sum(2)).sum() - torch.xlogy(counts, counts).sum()
    return float(bits) / (torch.tensor(2.0).log().item() * 8 * len(codes))
