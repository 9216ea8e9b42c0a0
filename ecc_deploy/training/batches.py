"""Batches of normalised tensors, shuffled and augmented from a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ecc_deploy.data import Normalisation, Samples
from ecc_deploy.training.phase import AugmentRecipe


@dataclass(frozen=True)
class Labelled:
    """Normalised images, float32 ``[N, C, H, W]``, and labels, int64 ``[N]``, on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


def to_tensors(samples: Samples, normalisation: Normalisation, device: torch.device | str = "cpu") -> Labelled:
    """The samples as tensors on ``device``."""
    images = torch.from_numpy(normalisation(samples.images))
    return Labelled(images.to(device), torch.from_numpy(samples.labels).to(device))


@dataclass(frozen=True)
class _Moves:
    """What is drawn for one batch: for each image the rows and columns to take, and the square to erase."""

    rows: torch.Tensor
    columns: torch.Tensor
    square: torch.Tensor | None

    def shard(self, rank: int, count: int) -> _Moves:
        mine = slice(rank, None, count)
        return _Moves(self.rows[mine], self.columns[mine], None if self.square is None else self.square[mine])


def _draw(count: int, height: int, width: int, recipe: AugmentRecipe, generator: torch.Generator) -> _Moves:
    rows = torch.arange(height).expand(count, height)
    columns = torch.arange(width).expand(count, width)
    if recipe.flip:
        flipped = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(flipped, columns.flip(1), columns)
    if recipe.shift:
        moves = torch.randint(-recipe.shift, recipe.shift + 1, (2, count, 1), generator=generator)
        rows, columns = rows + moves[0], columns + moves[1]
    square = None
    if recipe.erase:
        corners = [
            torch.randint(0, size, (count, 1), generator=generator) - recipe.erase // 2 for size in (height, width)
        ]
        inside = [
            (torch.arange(size) >= c) & (torch.arange(size) < c + recipe.erase)
            for size, c in zip((height, width), corners, strict=True)
        ]
        square = inside[0][:, :, None] & inside[1][:, None, :]
    return _Moves(rows, columns, square)


def augment(images: torch.Tensor, recipe: AugmentRecipe, generator: torch.Generator) -> torch.Tensor:
    """Flip, shift and erase each image on its own; ``images``: ``[N, C, H, W]``."""
    return _apply(images, _draw(len(images), images.shape[2], images.shape[3], recipe, generator), recipe)


def _apply(images: torch.Tensor, moves: _Moves, recipe: AugmentRecipe) -> torch.Tensor:
    count, _, height, width = images.shape
    device = images.device
    rows, columns = moves.rows.to(device), moves.columns.to(device)
    # Advanced indexing around a slice moves the channels last; permute brings them back.
    sample = torch.arange(count, device=device)[:, None, None]
    row, column = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    moved = images[sample, :, row, column].permute(0, 3, 1, 2)
    if recipe.fill == "zero" and recipe.shift:
        seen = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        moved = moved * seen[:, None]
    if moves.square is not None:
        moved = moved * ~moves.square.to(device)[:, None]
    return moved


def batches(
    data: Labelled,
    size: int,
    recipe: AugmentRecipe,
    generator: torch.Generator,
    *,
    rank: int = 0,
    workers: int = 1,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch in random order; a last batch that is not full is dropped, as batch norm wants even batches.

    Of each batch of ``size`` the worker ``rank`` of ``workers`` gets every ``workers``-th sample. What is drawn does
    not depend on how many workers there are, nor on the device of ``data``.
    """
    height, width = data.images.shape[2:]
    order = torch.randperm(len(data), generator=generator)
    for start in range(0, len(data) - size + 1, size):
        moves = _draw(size, height, width, recipe, generator).shard(rank, workers)
        chosen = order[start : start + size][rank::workers].to(data.images.device)
        images = _apply(data.images[chosen], moves, recipe)
        yield images.contiguous(memory_format=torch.channels_last), data.labels[chosen]
