"""What can be wrong with the recipes of a sweep, found before the first of them is trained."""

from __future__ import annotations

from ecc_deploy.errors import EccError, RecipeError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.sweep.recipe import Setting, SweepRecipe
from ecc_deploy.sweep.table import encode
from ecc_deploy.systems.rate import RateModel
from ecc_deploy.training.phase_runner import check_phase
from ecc_deploy.training.recipe import Recipe
from ecc_deploy.training.run import build_system, load_data, load_starting_weights

_STRUCTURE = {"data", "edge", "cloud", "split", "adapter", "init"}
_NEEDED = frozenset({"edge", "cloud", "adapter"})


def check(sweep: SweepRecipe, progress: Progress = silent) -> None:
    """Raise what training would stumble over: :class:`RecipeError`, :class:`DataError`, :class:`RunError`.

    Every recipe of a grid is validated; of other sweeps every value of a list and both ends of every range. Each
    structure among them is built once, and loads what it starts from.
    """
    settings = {setting.key: setting for setting in map(sweep.setting, sweep.probes())}
    groups: dict[str, list[Setting]] = {}
    for setting in settings.values():
        groups.setdefault(encode(setting.recipe.model_dump(mode="json", include=_STRUCTURE)), []).append(setting)
    for number, alike in enumerate(groups.values()):
        progress("Check", number, len(groups), "")
        setting = alike[0]
        try:
            load_data(setting.recipe).part("val")
            parts, rate = _begin(setting.recipe)
            for setting in alike:
                _check_phases(setting.recipe, parts, rate)
        except EccError as error:
            raise type(error)(f"{sweep.source}, {setting.title}: {error.message}", error.hint) from error
    progress("Check", len(groups), len(groups), "done")


def _begin(recipe: Recipe) -> tuple[frozenset[str], RateModel | None]:
    system = build_system(recipe)
    quantizer = system.adapter.quantizer
    rate = RateModel(system.adapter.boundary_shape[0], quantizer.bits) if quantizer.is_integer else None
    return load_starting_weights(system, recipe), rate


def _check_phases(recipe: Recipe, parts: frozenset[str], rate: RateModel | None) -> None:
    for phase in recipe.phases:
        check_phase(phase, parts, rate)
        parts |= frozenset(phase.train)
    if missing := _NEEDED - parts:
        raise RecipeError(
            f"it ends without a trained {' and '.join(sorted(missing))}",
            "A sweep compares ECC-A and ECC-D, which need a trained edge, cloud and adapter.",
        )
