"""Batches of normalised tensors, shuffled and augmented from a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ecc_deploy.data import Normalisation, Samples
from ecc_deploy.training import augment
from ecc_deploy.training.phase import AugmentRecipe
from ecc_deploy.training.views import Views


@dataclass(frozen=True)
class Labelled:
    """Normalised images, float32 ``[N, C, H, W]``, and labels, int64 ``[N]``, on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Batch(NamedTuple):
    """Augmented images, float32 ``[B, C, H, W]``, and their labels, int64 ``[B]``."""

    images: torch.Tensor
    labels: torch.Tensor
    taught: torch.Tensor | None
    """The teacher's logits, ``[B, classes]``, where they are kept."""


def to_tensors(samples: Samples, normalisation: Normalisation, device: torch.device | str = "cpu") -> Labelled:
    """The samples as tensors on ``device``."""
    images = torch.from_numpy(normalisation(samples.images))
    return Labelled(images.to(device), torch.from_numpy(samples.labels).to(device))


def batches(
    data: Labelled,
    size: int,
    recipe: AugmentRecipe,
    generator: torch.Generator,
    *,
    views: Views | None = None,
    rank: int = 0,
    workers: int = 1,
) -> Iterator[Batch]:
    """One epoch in random order; a last batch that is not full is dropped, as batch norm wants even batches.

    With ``views`` each image comes in one of its views, else it is augmented anew. Of each batch of ``size`` the worker
    ``rank`` of ``workers`` gets every ``workers``-th sample. What is drawn does not depend on how many workers there
    are, nor on the device of ``data``.
    """
    height, width = data.images.shape[2:]
    order = torch.randperm(len(data), generator=generator)
    mine = slice(rank, None, workers)
    for start in range(0, len(data) - size + 1, size):
        chosen = order[start : start + size]
        if views is None:
            moves, taught = augment.draw(size, height, width, recipe, generator)[mine], None
        else:
            drawn = views.draw(chosen, generator)[mine]
            moves, taught = views.moves(drawn), views.taught(drawn)
        own = chosen[mine].to(data.images.device)
        images = augment.move(data.images[own], moves, recipe)
        yield Batch(images.contiguous(memory_format=torch.channels_last), data.labels[own], taught)
