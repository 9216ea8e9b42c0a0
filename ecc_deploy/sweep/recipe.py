"""A sweep as data: a training recipe, and the table ``[sweep]`` that says what of it to vary."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecc_deploy import toml
from ecc_deploy.errors import RecipeError
from ecc_deploy.sweep import paths
from ecc_deploy.sweep.result import title
from ecc_deploy.sweep.table import Range, Table, encode
from ecc_deploy.training.checkpoint import fingerprint
from ecc_deploy.training.recipe import Recipe, explain, read_recipe

VARIANT = "variant"
MOST = 10_000
"""Settings of a grid; more are a slip."""


@dataclass(frozen=True)
class Setting:
    """One recipe of a sweep: the values of the parameters by path, and the variant."""

    variant: str | None
    changes: Mapping[str, Any]
    recipe: Recipe

    @property
    def key(self) -> str:
        """Identity of what it trains: the same for settings that come to the same recipe."""
        return fingerprint(self.recipe)

    @property
    def title(self) -> str:
        """The setting in words."""
        return title(self.variant, self.changes)


@dataclass(frozen=True)
class SweepRecipe:
    """A recipe as TOML tables, ``[sweep]`` taken out, and that table."""

    base: Mapping[str, Any]
    table: Table
    source: str

    @property
    def name(self) -> str:
        """Of the system."""
        return str(self.base.get("name", ""))

    @property
    def identity(self) -> str:
        """Of what is searched, and how; ``trials`` and ``offload_rates`` may change without making it another sweep."""
        searched = self.table.model_dump(mode="json", exclude={"trials", "offload_rates"})
        return hashlib.sha256(encode([self.base, searched]).encode()).hexdigest()[:32]

    def decode(self, given: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """What :meth:`setting` takes as the variant's name, and values by path."""
        changes = {
            path: given[path] if isinstance(values, Range) else json.loads(given[path])
            for path, values in self.table.parameters.items()
        }
        return given.get(VARIANT), changes

    def setting(self, given: Mapping[str, Any]) -> Setting:
        """The setting with these values: of lists as :func:`encode` gave them, of ranges numbers, the variant's name.

        Raises :class:`RecipeError` where it is no recipe.
        """
        name, changes = self.decode(given)
        variant = next((one for one in self.table.variants if one.name == name), None)
        tree = copy.deepcopy(dict(self.base))
        for path, value in changes.items():
            paths.put(tree, path, copy.deepcopy(value))
        for path, value in variant.set.items() if variant else ():
            paths.put(tree, path, copy.deepcopy(value))
        for path in variant.unset if variant else ():
            paths.drop(tree, path)
        try:
            recipe = Recipe.model_validate(tree)
        except ValidationError as error:
            raise RecipeError(
                f"{self.source}: no recipe comes of {title(name, changes)}:\n{explain(error)}", "See docs/recipes.md."
            ) from error
        return Setting(name, changes, recipe)

    def choices(self) -> dict[str, list[str]]:
        """By path, and :data:`VARIANT`: what there is to choose from; without the ranges."""
        variants = {VARIANT: [variant.name for variant in self.table.variants]} if self.table.variants else {}
        lists = {p: [*map(encode, v)] for p, v in self.table.parameters.items() if not isinstance(v, Range)}
        return {**variants, **lists}

    def grid(self) -> list[dict[str, Any]]:
        """What :meth:`setting` takes, for all combinations of the choices; the last one changes fastest."""
        choices = self.choices()
        count = math.prod(map(len, choices.values()))
        if count > MOST:
            raise RecipeError(f"{self.source}: the grid has {count:,} settings, more than {MOST:,}")
        return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]

    def probes(self) -> Iterator[dict[str, Any]]:
        """What is looked at first: of a grid everything, else every choice and both ends of every range."""
        if self.table.sampler == "grid":
            yield from self.grid()
            return
        ends = {p: [v.low, v.high] for p, v in self.table.parameters.items() if isinstance(v, Range)}
        values: dict[str, list[Any]] = {**self.choices(), **ends}
        first = {path: options[0] for path, options in values.items()}
        yield first
        for path, options in values.items():
            yield from ({**first, path: option} for option in options[1:])


def load_sweep_recipe(name_or_path: str | Path) -> SweepRecipe:
    """Read a sweep: a file, or one that ships with ecc-deploy, by its name. Raises :class:`RecipeError`."""
    return parse_sweep(*read_recipe(name_or_path))


def parse_sweep(text: str, source: str) -> SweepRecipe:
    """Parse a sweep; ``source`` names it in errors. Raises :class:`RecipeError`."""
    try:
        tree = toml.loads(text)
        if "sweep" not in tree:
            raise RecipeError(f"{source} has no [sweep] table", "See docs/sweeps.md.")
        return SweepRecipe(tree, Table.model_validate(tree.pop("sweep")), source)
    except toml.tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"the [sweep] of {source} is wrong:\n{explain(error)}", "See docs/sweeps.md.") from error
