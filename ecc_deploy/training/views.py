"""Fixed views of every training image, and what the teacher says of each: computed once, kept for all epochs.

A teacher that answers every batch anew takes a large share of a step on a CPU. Where each image has a few fixed views
instead of endlessly many, the teacher sees each once (as Shen and Xing 2022, *A Fast Knowledge Distillation Framework
for Visual Recognition*, do for ImageNet's crops), and later phases, other seeds and the runs of a sweep find its
answers in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ecc_deploy.atomic import replacing
from ecc_deploy.errors import UsageError
from ecc_deploy.progress import Progress
from ecc_deploy.training import augment
from ecc_deploy.training.phase import AugmentRecipe
from ecc_deploy.user_cache import user_cache

Teach = Callable[[torch.Tensor], torch.Tensor]
"""Images ``[N, C, H, W]`` to the teacher's logits ``[N, classes]``."""

_SEED = 20_000_003
"""Of the views: the same for every run, so that its answers serve them all."""
_BATCH = 250


@dataclass(frozen=True)
class Views:
    """``count`` views of each image, each also mirrored where the augmentation flips."""

    count: int
    drawn: augment.Moves
    """``[images · count]``: of an image one behind the other, not mirrored."""
    answers: torch.Tensor
    """The teacher's logits, float16 ``[images · count, sides, classes]``; ``sides``: 1 where it says the same of a view
    and its mirror image, else 2."""
    flips: bool

    def draw(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw a view for each of the ``images``, int64 ``[N]``; int64 ``[N, 2]``: its number, and 1 if mirrored."""
        view = images * self.count + torch.randint(self.count, (len(images),), generator=generator)
        side = torch.randint(2 if self.flips else 1, (len(images),), generator=generator)
        return torch.stack([view, side], dim=1)

    def moves(self, drawn: torch.Tensor) -> augment.Moves:
        """How the views of :meth:`draw` are made."""
        plain = self.drawn[drawn[:, 0]]
        return augment.Moves(drawn[:, 1].bool(), plain.shift, plain.corner)

    def taught(self, drawn: torch.Tensor) -> torch.Tensor:
        """The teacher's logits for the views of :meth:`draw`, float32 ``[N, classes]``."""
        side = drawn[:, 1].clamp(max=self.answers.shape[1] - 1)
        return self.answers[drawn[:, 0].to(self.answers.device), side.to(self.answers.device)].float()


def views_of(
    images: torch.Tensor,
    recipe: AugmentRecipe,
    count: int,
    teach: Teach,
    *,
    mirrored: bool,
    identity: str,
    progress: Progress,
) -> Views:
    """The views of ``images`` ``[N, C, H, W]``, with answers from the cache or, where it has none, from ``teach``.

    ``mirrored``: ``teach`` says the same of an image and its mirror image. ``identity``: of the teacher and of how it
    computes. Raises :class:`UsageError` where the cache cannot be read or written.
    """
    height, width = images.shape[2:]
    plain = recipe.model_copy(update={"flip": False})
    generator = torch.Generator().manual_seed(_SEED)
    drawn = augment.draw(len(images) * count, height, width, plain, generator)
    sides = 2 if recipe.flip and not mirrored else 1
    digest = hashlib.sha256(images.cpu().numpy().tobytes())
    digest.update(json.dumps([plain.model_dump(), count, sides, identity]).encode())
    path = cache_folder() / f"{digest.hexdigest()[:32]}.safetensors"
    try:
        if path.is_file():
            answers = load_file(path)["answers"]
        else:
            answers = _answers(images, drawn, plain, sides, teach, progress)
            with replacing(path) as work:
                save_file({"answers": answers}, work)
    except (OSError, SafetensorError, KeyError) as error:
        raise UsageError(
            f"the teacher's answers in {path} cannot be kept or read: {error}",
            "Remove the file; or choose another cache folder with XDG_CACHE_HOME.",
        ) from error
    return Views(count, drawn, answers.to(images.device), recipe.flip)


def cache_folder() -> Path:
    """Where answers are kept between runs."""
    return user_cache("teachers")


def identity_of(modules: list[nn.Module], *settings: object) -> str:
    """A digest of the weights of ``modules``, their structure and the ``settings``."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for module in modules:
        digest.update(str(module).encode())
        for name, value in module.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().reshape(-1).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def _answers(
    images: torch.Tensor, drawn: augment.Moves, recipe: AugmentRecipe, sides: int, teach: Teach, progress: Progress
) -> torch.Tensor:
    count = len(drawn.flipped) // len(images)
    found: list[torch.Tensor] = []
    for start in range(0, len(drawn.flipped), _BATCH):
        numbers = torch.arange(start, min(start + _BATCH, len(drawn.flipped)))
        moves, own = drawn[numbers], images[(numbers // count).to(images.device)]
        answers = [teach(augment.move(own, side, recipe)) for side in (moves, moves.mirrored())[:sides]]
        found.append(torch.stack(answers, dim=1).to("cpu", torch.float16))
        progress("Ask the teacher", int(numbers[-1]) + 1, len(drawn.flipped), "")
    return torch.cat(found)
