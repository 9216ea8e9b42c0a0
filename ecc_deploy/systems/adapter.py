"""The trained adapter: encoder (edge) → quantized bottleneck (link) → decoder (cloud)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ecc_deploy.bundle.manifest import Bits
from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.resnet import BasicBlock, conv_bn


class BottleneckQuantizer(nn.Module):
    """Unsigned uniform quantizer of the boundary with a learned step.

    ``code = clip(round(x / step), 0, 2^bits - 1)``, ``round`` to even as in ONNX QuantizeLinear; the forward pass
    returns ``code * step``. Gradients pass the rounding straight through, and the step is learned with the gradient
    and its scaling from LSQ (Esser et al. 2020, equations 3 and 4). With 16 or 32 bits the boundary stays float and
    this module is the identity.
    """

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self.step = nn.Parameter(torch.zeros(()))
        """0 until the first training batch sets it from the data."""

    @property
    def is_integer(self) -> bool:
        return self.bits <= 8

    @property
    def top(self) -> int:
        """The largest code."""
        return 2**self.bits - 1

    def reset(self) -> None:
        """Forget the step; the next training batch sets it."""
        torch.nn.init.zeros_(self.step)

    @torch.no_grad()
    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """What crosses the link: uint8 codes, or ``x`` itself where the boundary stays float."""
        if not self.is_integer:
            return x
        return (x / self.step).round().clamp(0, self.top).to(torch.uint8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The boundary as it arrives: rounded to its codes, times the step."""
        return self.rounded(x)[0]

    def rounded(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What arrives, and the codes before rounding, in [0, 2^bits - 1]: what a rate term needs.

        Both are ``x`` itself where the boundary stays float.
        """
        if not self.is_integer:
            return x, x
        x = x.float()  # under autocast too: a code must not depend on bfloat16's eight bits
        if self.training and self.step.item() == 0:
            with torch.no_grad():
                self.step.copy_(2 * x.abs().mean().clamp(min=1e-6) / math.sqrt(self.top))
        step: torch.Tensor = self.step
        if self.training:
            gain = 1 / math.sqrt(x[0].numel() * self.top)
            step = (step * gain) + (step - step * gain).detach()
        scaled = (x / step).clamp(0, self.top)
        return (scaled + (scaled.round() - scaled).detach()) * step, scaled


class Adapter(nn.Module):
    """Joins an edge feature to the entry of a cloud stage.

    * encoder: ``encoder_blocks`` residual blocks, then a 3x3 convolution to ``channels``, batch norm, ReLU. Of the
      stride's factors of two each block takes one, and doubles the channels, while there are any; the convolution takes
      the rest;
    * quantizer: :class:`BottleneckQuantizer` of ``bits``;
    * decoder: 3x3 convolution to the cloud's channels (with a stride where the boundary is the larger one), batch norm,
      ReLU, ``decoder_blocks`` residual blocks, then nearest-neighbour upsampling where the boundary is the smaller one.
      The blocks come first: upsampled, they would see nothing more and compute as many times as much.
    """

    def __init__(
        self,
        edge_shape: tuple[int, int, int],
        cloud_shape: tuple[int, int, int],
        *,
        channels: int,
        encoder_stride: int,
        bits: Bits,
        encoder_blocks: int = 0,
        decoder_blocks: int,
    ) -> None:
        """``edge_shape``: what leaves the edge; ``cloud_shape``: what must enter the cloud stage (both C, H, W)."""
        super().__init__()
        height = -(-edge_shape[1] // encoder_stride)
        width = -(-edge_shape[2] // encoder_stride)
        self.boundary_shape = (channels, height, width)
        self.encoder = _encoder(edge_shape[0], channels, encoder_stride, encoder_blocks)
        self.quantizer = BottleneckQuantizer(bits)

        outputs, out_height, out_width = cloud_shape
        grow, shrink = out_height / height, height / out_height
        if out_height * width != out_width * height or not (grow.is_integer() or shrink.is_integer()):
            raise RecipeError(
                f"a boundary of {height}x{width} cannot be brought to the {out_height}x{out_width} that the cloud "
                "stage takes",
                f"Choose adapter.encoder_stride so that {edge_shape[1]} divided by it is a multiple or a divisor of "
                f"{out_height}.",
            )
        layers: list[nn.Module] = [*conv_bn(channels, outputs, 3, max(1, int(shrink))), nn.ReLU(inplace=True)]
        layers += [BasicBlock(outputs, outputs, 1) for _ in range(decoder_blocks)]
        if grow > 1:
            layers.append(nn.Upsample(scale_factor=int(grow), mode="nearest"))
        self.decoder = nn.Sequential(*layers)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Edge feature ``[N, C, H, W]`` to the cloud stage's input, through the quantized bottleneck."""
        decoded: torch.Tensor = self.decoder(self.quantizer(self.encoder(feature)))
        return decoded


def _encoder(inputs: int, channels: int, stride: int, blocks: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(blocks):
        halves = 2 if stride % 2 == 0 else 1
        layers.append(BasicBlock(inputs, inputs * halves, halves))
        inputs, stride = inputs * halves, stride // halves
    return nn.Sequential(*layers, *conv_bn(inputs, channels, 3, stride), nn.ReLU(inplace=True))
