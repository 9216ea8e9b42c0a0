from pathlib import Path

import pytest
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.partition.halves import halves_of
from ecc_deploy.quantization.calibration import CalibrationRecipe, load_calibration
from ecc_deploy.quantization.excluded import excluded
from ecc_deploy.training.run import load_run


@pytest.fixture
def halves(gated_run: Path) -> dict[str, nn.Module]:
    return halves_of(load_run(gated_run).system, 10, learned_gate=True).modules


def recipe(**exclude: tuple[str, ...]) -> CalibrationRecipe:
    return CalibrationRecipe(name="mine", exclude={key.replace("_", "-"): paths for key, paths in exclude.items()})


def test_nothing_is_excluded_by_default(halves: dict[str, nn.Module]) -> None:
    assert excluded(recipe(), halves) == dict.fromkeys(halves, ())


def test_each_half_has_its_own_and_what_is_for_all(halves: dict[str, nn.Module]) -> None:
    given = {"*": ("stages.stem", "encoder"), "exit": ("stages.stage1.0", "stages.stem")}
    found = excluded(CalibrationRecipe(name="mine", exclude=given), halves)
    assert found == {
        "exit": ("stages.stem", "stages.stage1.0"), "encode": ("stages.stem", "encoder"),
        "exit-and-encode": ("stages.stem", "encoder"), "full": ("stages.stem",), "tail": (),
    }  # fmt: skip


def test_an_unknown_half(halves: dict[str, nn.Module]) -> None:
    with pytest.raises(RecipeError, match="'mine' excludes modules of the half 'edge', which is not there") as caught:
        excluded(recipe(edge=("stages.stem",)), halves)
    assert "exit-and-encode" in caught.value.hint


def test_an_unknown_module(halves: dict[str, nn.Module]) -> None:
    with pytest.raises(RecipeError, match=r"'stages.stem9', which the half exit does not have") as caught:
        excluded(recipe(exit=("stages.stem9",)), halves)
    assert "stages.stem" in caught.value.hint
    with pytest.raises(RecipeError, match=r"'encoder', which the half exit does not have"):
        excluded(recipe(exit=("encoder",)), halves)
    with pytest.raises(RecipeError, match=r"'nobody', which no half has"):
        excluded(CalibrationRecipe(name="mine", exclude={"*": ("nobody",)}), halves)


def test_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\n[exclude]\nexit = ["stages.stem"]\nexit-and-encode = ["a", "b"]\n"*" = ["c"]\n'
    )
    found = load_calibration(tmp_path / "mine.toml")
    assert found.exclude == {"exit": ("stages.stem",), "exit-and-encode": ("a", "b"), "*": ("c",)}
    (tmp_path / "mine.toml").write_text('name = "mine"\nexclude = ["stages.stem"]\n')
    with pytest.raises(RecipeError, match="exclude"):
        load_calibration(tmp_path / "mine.toml")
