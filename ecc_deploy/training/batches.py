"""Batches of normalised tensors, shuffled and augmented from a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ecc_deploy.data import Normalisation, Samples
from ecc_deploy.training.recipe import AugmentRecipe


def to_tensors(samples: Samples, normalisation: Normalisation) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as normalised float32 ``[N, C, H, W]`` and labels as int64 ``[N]``."""
    return torch.from_numpy(normalisation(samples.images)), torch.from_numpy(samples.labels)


def augment(images: torch.Tensor, recipe: AugmentRecipe, generator: torch.Generator) -> torch.Tensor:
    """Flip and shift each image on its own; the border is repeated into what a shift uncovers."""
    count, _, height, width = images.shape
    rows = torch.arange(height).expand(count, height)
    columns = torch.arange(width).expand(count, width)
    if recipe.flip:
        flipped = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    if recipe.shift:
        moves = torch.randint(-recipe.shift, recipe.shift + 1, (2, count, 1), generator=generator)
        rows = (rows + moves[0]).clamp(0, height - 1)
        columns = (columns + moves[1]).clamp(0, width - 1)
    # Advanced indexing around a slice moves the channels last; permute brings them back.
    sample = torch.arange(count)[:, None, None]
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def batches(
    images: torch.Tensor, labels: torch.Tensor, size: int, recipe: AugmentRecipe, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch in random order; a last batch that is not full is dropped, as batch norm wants even batches."""
    order = torch.randperm(len(labels), generator=generator)
    for start in range(0, len(labels) - size + 1, size):
        chosen = order[start : start + size]
        yield augment(images[chosen], recipe, generator).contiguous(memory_format=torch.channels_last), labels[chosen]
