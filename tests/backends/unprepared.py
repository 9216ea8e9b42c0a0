"""Networks that nobody prepared for any toolchain, as whole halves, and what becomes of them.

``python -m tests.backends.unprepared [NAME...]`` tries them with all backends and prints a table.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.registry import load_compiler, open_runner
from ecc_deploy.bundle import TensorInfo
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import CompileError
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.preprocess import laid_out

SIZE, CLASSES, CALIBRATED, COMPARED, TAUGHT = 64, 10, 64, 32, 50
BACKENDS = ("onnxruntime", "openvino", "tflite", "tensorrt")
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


class Logits(nn.Module):
    """A classifier of Hugging Face, its answer as a plain tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model(pixel_values=x).logits
        return found


def hugging_face(name: str, **config: Any) -> Callable[[], nn.Module]:
    """``NameForImageClassification`` from a ``NameConfig``; nothing is downloaded."""

    def make() -> nn.Module:
        import transformers

        made = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **config)
        return Logits(getattr(transformers, f"{name}ForImageClassification")(made))

    return make


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce, self.expand = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale: torch.Tensor = self.gate(self.expand(torch.relu(self.reduce(self.pool(x)))))
        return x * scale


class MobileNetV3Like(nn.Module):
    """Depthwise convolutions, hardswish and squeeze-excite (Howard et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
        self.blocks = nn.Sequential(*[self.block(16, 16) for _ in range(2)])
        self.head = nn.Linear(16, CLASSES)

    @staticmethod
    def block(inputs: int, outputs: int) -> nn.Module:
        inner = 4 * inputs
        return nn.Sequential(
            *(nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.Hardswish()),
            *(nn.Conv2d(inner, inner, 3, 2, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.Hardswish()),
            SqueezeExcite(inner),
            *(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return found


class SiluUpsampleConcat(nn.Module):
    """What detectors are made of: SiLU, max pooling, chunk, nearest upsampling, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU())
        self.second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU())
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.last = nn.Sequential(nn.Conv2d(16 + 32, 24, 3, 2, 1), nn.SiLU())
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.first(x)
        one, other = self.second(fine).chunk(2, 1)
        coarse = torch.cat([one, self.pool(other)], 1)
        joined = self.last(torch.cat([fine, self.upsample(coarse)], 1))
        found: torch.Tensor = self.head(joined.mean((2, 3)))
        return found


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "MobileNetV3-like": MobileNetV3Like,
    "SiLU, upsample, concat": SiluUpsampleConcat,
    "ResNet": hugging_face("ResNet", embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"),
    "MobileNetV2": hugging_face("MobileNetV2", depth_multiplier=0.35, image_size=SIZE),
    "EfficientNet": hugging_face(
        "EfficientNet", width_coefficient=0.25, depth_coefficient=0.25, image_size=SIZE, hidden_dim=320
    ),
    "ConvNeXt": hugging_face("ConvNext", hidden_sizes=[16, 32], depths=[1, 1], num_stages=2, image_size=SIZE),
    "MobileViT": hugging_face(
        "MobileViT",
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 64],
        image_size=SIZE,
        num_attention_heads=2,
    ),
    "ViT": hugging_face("ViT", image_size=SIZE, patch_size=16, **SMALL),
}


@dataclass(frozen=True)
class Outcome:
    """``snr_db``: of the logits against PyTorch; ``None`` with the reason where it was refused."""

    snr_db: float | None
    refused: str = ""
    hint: str = ""


def half_of(model: nn.Module) -> HalfSource:
    """The whole network as one edge half."""
    image = TensorInfo(name="image", dtype="float32", shape=(3, SIZE, SIZE), layout="NCHW")
    logits = TensorInfo(name="logits", dtype="float32", shape=(CLASSES,), layout="NC")
    return HalfSource("exit", "edge", model.eval(), (image,), (logits,), None, 0)


def attempt(name: str, backend: str, precision: Precision, folder: Path) -> Outcome:
    """Compile the network, run it, and compare its answers with PyTorch's on images that it was not calibrated with."""
    source, images = taught(name), _images(CALIBRATED + COMPARED, seed=1)[0]
    batches = [{"image": images[i : i + 16]} for i in range(0, CALIBRATED, 16)]
    try:
        half = load_compiler(backend).compile_half(source, folder, Job(precision, batches))
    except CompileError as error:
        return Outcome(None, error.message, error.hint)
    given = images[CALIBRATED:]
    with open_runner(folder / half.file, half, 1, stand_in=True) as runner:
        found = run_all(runner, "image", given, lambda batch: laid_out(half, batch))["logits"]
    with torch.no_grad():
        wanted = source.module(torch.from_numpy(given)).numpy()
    wanted_power = float(np.square(wanted - wanted.mean(0)).sum())  # what differs from image to image
    return Outcome(10 * float(np.log10(wanted_power / max(float(np.square(wanted - found).sum()), 1e-30))))


@cache
def taught(name: str) -> HalfSource:
    """The network after a little training: what random weights give hardly differs from image to image, and less than
    int8 can tell.
    """
    torch.manual_seed(0)
    source = half_of(MODELS[name]())
    for part in source.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.3  # few steps
            part.reset_parameters()  # Hugging Face draws EfficientNet's scales at random, of about 0.02
    images, labels = map(torch.from_numpy, _images(TAUGHT * 32, seed=0))
    optimizer = torch.optim.Adam(source.module.parameters(), lr=2e-3)
    source.module.train()
    for step in range(TAUGHT):
        part = slice(32 * step, 32 * (step + 1))
        loss = nn.functional.cross_entropy(source.module(images[part]), labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    source.module.eval().requires_grad_(False)
    return source


def _images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth patterns, one for each class, under smooth and fine noise: float32 ``[N, 3, SIZE, SIZE]``, and labels."""
    patterns = np.random.default_rng(0).normal(size=(CLASSES, 3, 8, 8))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    coarse = patterns[labels] + rng.normal(scale=0.7, size=(count, 3, 8, 8))
    smooth = coarse.repeat(SIZE // 8, 2).repeat(SIZE // 8, 3)
    return (smooth + rng.normal(scale=0.2, size=smooth.shape)).astype(np.float32), labels


def main() -> None:
    ways = [(backend, precision) for backend in BACKENDS for precision in PRECISIONS]
    print(f"{'':<26}" + "".join(f"{' '.join(way):>18}" for way in ways))
    for name in sys.argv[1:] or MODELS:
        cells, notes = [], []
        for backend, precision in ways:
            with tempfile.TemporaryDirectory() as folder:
                outcome = attempt(name, backend, precision, Path(folder))
            cells.append("refused" if outcome.snr_db is None else f"{outcome.snr_db:.0f} dB")
            if outcome.refused:
                notes.append(f"  {backend} {precision}: {outcome.refused} -> {outcome.hint}")
        print(f"{name:<26}" + "".join(f"{cell:>18}" for cell in cells), *notes, sep="\n", flush=True)


if __name__ == "__main__":
    main()
