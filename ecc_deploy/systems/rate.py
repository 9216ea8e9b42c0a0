"""The payload's bits as a training objective: a differentiable estimate of what the quantized boundary costs."""

from __future__ import annotations

import math

import torch
from torch import nn


class RateModel(nn.Module):
    """Code lengths of each channel's codes, learned by counting, and the rate of a boundary under them.

    The length of code ``k`` in channel ``c`` is ``-log2 p[c, k]``, with ``p`` a running mean of the codes' frequencies
    in training: an order-0 model per channel. What carries the payload, :mod:`ecc_deploy.payload.ans`, looks at the
    neighbouring codes too, so it sends fewer bytes than are estimated here. Codes are integers and have no gradient,
    so the rate is taken at the *unrounded* code ``u``, by linear interpolation between the lengths of its two
    neighbours: exact at integers, and its slope is what one more step would cost.
    """

    MOMENTUM = 0.99
    FLOOR = 1e-4
    """Of the frequencies: the rarest code costs 13.3 bits, so that it can come back."""

    def __init__(self, channels: int, bits: int) -> None:
        super().__init__()
        self.levels = 2**bits
        self.register_buffer("frequencies", torch.full((channels, self.levels), 1 / self.levels))
        self.frequencies: torch.Tensor
        self.register_buffer("batches", torch.zeros(()))
        self.batches: torch.Tensor

    @torch.no_grad()
    def count(self, codes: torch.Tensor) -> None:
        """Move the frequencies towards those of ``codes``, whole numbers as float or integer ``[N, C, H, W]``."""
        by_channel = codes.long().transpose(0, 1).flatten(1)
        offsets = torch.arange(len(by_channel), device=codes.device)[:, None] * self.levels
        histogram = torch.bincount((by_channel + offsets).flatten(), minlength=self.frequencies.numel())
        seen = histogram.view_as(self.frequencies) / by_channel.shape[1]
        # A plain mean of the first batches, so that what was there before them does not linger.
        share = torch.clamp(1 / (self.batches + 1), min=1 - self.MOMENTUM)
        self.frequencies.lerp_(seen.to(self.frequencies.dtype), share)
        self.batches += 1

    def lengths(self) -> torch.Tensor:
        """Bits of each code, ``[C, 2^bits]``."""
        floored = self.frequencies.clamp(min=self.FLOOR)
        return -torch.log2(floored / floored.sum(1, keepdim=True))

    def forward(self, unrounded: torch.Tensor) -> torch.Tensor:
        """Estimated bytes per sample, a scalar: the mean over the batch.

        ``unrounded``: codes before rounding, in [0, 2^bits - 1], float ``[N, C, H, W]``; the gradient flows to them.
        """
        lengths = self.lengths()
        low = unrounded.detach().floor().clamp(max=self.levels - 2)
        share = unrounded - low
        index = low.long().transpose(0, 1).flatten(1)
        share = share.transpose(0, 1).flatten(1)
        bits = torch.lerp(lengths.gather(1, index), lengths.gather(1, index + 1), share)
        return bits.sum() / (8 * len(unrounded))


def ideal_bytes(codes: torch.Tensor, levels: int) -> float:
    """Bytes per sample of an ideal order-0 code per channel, fitted to these very codes: their empirical entropy.

    ``codes``: whole numbers ``[N, C, H, W]`` below ``levels``.
    """
    total = 0.0
    for channel in codes.long().transpose(0, 1).flatten(1):
        counts = torch.bincount(channel, minlength=levels).double()
        p = counts[counts > 0] / counts.sum()
        total -= float((p * p.log2()).sum()) * channel.numel()
    return total / (8 * len(codes)) if math.isfinite(total) else math.nan
