"""Every recipe that ships is valid, and its system can be built."""

import pytest
import tomllib

from ecc_deploy import resources
from ecc_deploy.systems.rate import RateModel
from ecc_deploy.training.phase_runner import check_phase
from ecc_deploy.training.recipe import load_recipe
from ecc_deploy.training.run import build_system

FILES = sorted(resources.folder("recipes").glob("*.toml"))
PLAIN = [file.stem for file in FILES if "sweep" not in tomllib.loads(file.read_text())]


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_valid_and_builds(name: str) -> None:
    recipe = load_recipe(name)
    system = build_system(recipe)
    assert system.adapter.boundary_shape[0] == recipe.adapter.channels
    parts = frozenset({"edge", "cloud"}) if recipe.init or recipe.cloud.weights else frozenset()
    for phase in recipe.phases:
        check_phase(phase, parts, RateModel(recipe.adapter.channels, recipe.adapter.bits))
        parts |= frozenset(phase.train)


def test_there_are_some() -> None:
    assert {"cifar10", "fashion-mnist-quickstart"} <= set(PLAIN)
