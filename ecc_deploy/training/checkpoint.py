"""Where training stands, written after every epoch, so that a run that was killed goes on as if it had not been."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ecc_deploy.atomic import replacing
from ecc_deploy.errors import RunError
from ecc_deploy.training.recipe import Recipe

FILE = "checkpoint.pt"


@dataclass
class Standing:
    """How far a run is: ``phase`` and ``epoch`` say what comes next, ``state`` holds the tensors to go on with."""

    phase: int = 0
    epoch: int = 0
    parts: list[str] = field(default_factory=list)
    """That hold trained weights."""
    history: list[dict] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    """``system``, ``rate``, ``optimizer``, ``schedule``, ``generator``: state dicts and tensors only."""


def fingerprint(recipe: Recipe) -> str:
    """Identity of what a recipe trains, 32 hex digits."""
    return hashlib.sha256(json.dumps(recipe.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:32]


def save_checkpoint(run: Path, recipe: Recipe, standing: Standing) -> None:
    """Write the checkpoint of ``run``; it appears whole or not at all."""
    run.mkdir(parents=True, exist_ok=True)
    content = {
        "recipe": fingerprint(recipe),
        "phase": standing.phase,
        "epoch": standing.epoch,
        "parts": standing.parts,
        "history": json.dumps(standing.history),
        "state": standing.state,
        "rng": torch.get_rng_state(),
    }
    with replacing(run / FILE) as path:
        torch.save(content, path)


def load_checkpoint(run: Path, recipe: Recipe) -> Standing | None:
    """Where ``run`` stands, or ``None`` where nothing was begun. Sets torch's random state.

    Raises :class:`RunError` for a damaged checkpoint, or one of another recipe.
    """
    path = run / FILE
    if not path.is_file():
        return None
    try:
        # weights_only: tensors and plain values; a file that wants to run code is refused.
        content = torch.load(path, map_location="cpu", weights_only=True)
        standing = Standing(
            content["phase"], content["epoch"], content["parts"], json.loads(content["history"]), content["state"]
        )
        same = content["recipe"] == fingerprint(recipe)
        rng = content["rng"]
    except Exception as error:  # torch raises many kinds for a damaged file
        raise RunError(
            f"the checkpoint {path} cannot be read: {error}", "Remove it, or train with --restart."
        ) from error
    if not same:
        raise RunError(
            f"{path} was left by another recipe",
            "Train with the recipe that it was begun with, choose another --out, or begin anew with --restart.",
        )
    torch.set_rng_state(rng)
    return standing


def remove_checkpoint(run: Path) -> None:
    """Forget where ``run`` stood."""
    (run / FILE).unlink(missing_ok=True)
