"""What a calibration recipe keeps float, half by half."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ecc_deploy.errors import RecipeError
from ecc_deploy.quantization.calibration import EVERY_HALF, CalibrationRecipe

if TYPE_CHECKING:
    from torch import nn


def excluded(recipe: CalibrationRecipe, halves: Mapping[str, nn.Module]) -> dict[str, tuple[str, ...]]:
    """Paths of the modules that ``recipe`` keeps float, by the key of the half, for every one of ``halves``.

    What the recipe lists for ``*`` holds for the halves that have such a module. Raises :class:`RecipeError` for a half
    or a module that is not there.
    """
    modules = {key: [path for path, _ in half.named_modules() if path] for key, half in halves.items()}
    found: dict[str, dict[str, None]] = {key: {} for key in halves}
    for wanted, paths in recipe.exclude.items():
        if wanted not in (*halves, EVERY_HALF):
            raise RecipeError(
                f"the calibration recipe {recipe.name!r} excludes modules of the half {wanted!r}, which is not there",
                f"Halves: {', '.join(halves)}, and {EVERY_HALF} for all of them.",
            )
        for path in paths:
            having = [key for key in halves if wanted in (key, EVERY_HALF) and path in modules[key]]
            if not having:
                known = sorted({path for key in halves if wanted in (key, EVERY_HALF) for path in modules[key]})
                near = difflib.get_close_matches(path, known, n=5, cutoff=0.3) or known[:5]
                where = "no half has" if wanted == EVERY_HALF else f"the half {wanted} does not have"
                raise RecipeError(
                    f"the calibration recipe {recipe.name!r} excludes the module {path!r}, which {where}",
                    f"The nearest are {', '.join(near)}.",
                )
            for key in having:
                found[key][path] = None
    return {key: tuple(paths) for key, paths in found.items()}
