"""Augmentation: how images are flipped, moved and erased, drawn from a seeded generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ecc_deploy.training.phase import AugmentRecipe


@dataclass(frozen=True)
class Moves:
    """What is done to each of ``N`` images."""

    flipped: torch.Tensor
    """bool ``[N]``: mirrored left to right, after all the rest."""
    shift: torch.Tensor
    """int64 ``[N, 2]``: rows and columns that it moves up and left."""
    corner: torch.Tensor | None
    """int64 ``[N, 2]``: row and column of the square to erase; may lie outside. ``None``: nothing is erased."""

    def __getitem__(self, chosen: slice | torch.Tensor) -> Moves:
        corner = None if self.corner is None else self.corner[chosen]
        return Moves(self.flipped[chosen], self.shift[chosen], corner)

    def mirrored(self) -> Moves:
        """Those that give every image's mirror image."""
        return Moves(~self.flipped, self.shift, self.corner)


def draw(count: int, height: int, width: int, recipe: AugmentRecipe, generator: torch.Generator) -> Moves:
    """Moves for ``count`` images."""
    flipped = torch.zeros(count, dtype=torch.bool)
    shift = torch.zeros(count, 2, dtype=torch.int64)
    corner = None
    if recipe.flip:
        flipped = torch.rand(count, generator=generator) < 0.5
    if recipe.shift:
        shift = torch.randint(-recipe.shift, recipe.shift + 1, (2, count), generator=generator).T
    if recipe.erase:
        corners = [torch.randint(0, size, (count,), generator=generator) for size in (height, width)]
        corner = torch.stack(corners, dim=1) - recipe.erase // 2
    return Moves(flipped, shift, corner)


def move(images: torch.Tensor, moves: Moves, recipe: AugmentRecipe) -> torch.Tensor:
    """``images`` ``[N, C, H, W]`` as ``moves`` say; a new tensor."""
    count, _, height, width = images.shape
    device = images.device
    rows = torch.arange(height).expand(count, height) + moves.shift[:, :1]
    columns = torch.arange(width).expand(count, width)
    columns = torch.where(moves.flipped[:, None], columns.flip(1), columns)
    columns = columns + moves.shift[:, 1:]
    rows, columns = rows.to(device), columns.to(device)
    # Advanced indexing around a slice moves the channels last; permute brings them back.
    sample = torch.arange(count, device=device)[:, None, None]
    row, column = rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    moved = images[sample, :, row, column].permute(0, 3, 1, 2)
    if recipe.fill == "zero" and recipe.shift:
        seen = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
        moved = moved * seen[:, None]
    if moves.corner is not None:
        moved = moved * ~_square(moves, height, width, recipe.erase).to(device)[:, None]
    return moved


def _square(moves: Moves, height: int, width: int, side: int) -> torch.Tensor:
    """Where each image is erased, bool ``[N, H, W]``."""
    assert moves.corner is not None
    top, left = moves.corner.T
    left = torch.where(moves.flipped, width - side - left, left)
    inside = [
        (torch.arange(size) >= first[:, None]) & (torch.arange(size) < first[:, None] + side)
        for size, first in ((height, top), (width, left))
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]


def augment(images: torch.Tensor, recipe: AugmentRecipe, generator: torch.Generator) -> torch.Tensor:
    """Flip, shift and erase each image on its own; ``images``: ``[N, C, H, W]``."""
    return move(images, draw(len(images), images.shape[2], images.shape[3], recipe, generator), recipe)
