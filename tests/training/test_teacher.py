"""Who is asked for the logits that are distilled."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from ecc_deploy.training.teacher import Teacher
from ecc_deploy.training.views import cache_folder
from tests import tiny

TAUGHT = {"cross_entropy": 0.0, "distillation": 1.0}


def images(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def other(seed: int) -> zoo.Backbone:
    torch.manual_seed(seed)
    return zoo.build("resnet", input_shape=(1, 28, 28), classes=10, widths=[4, 8, 8], blocks=[1, 1, 1]).eval()


def test_the_teachers_logits_are_the_mean_of_all(tiny_run: Path) -> None:
    system, x = load_run(tiny_run).system, images()
    more = other(1)
    with torch.no_grad():
        cloud, mirrored = system.cloud(x), system.cloud(x.flip(3))
        torch.testing.assert_close(Teacher(system).logits(x), cloud, atol=1e-4, rtol=1e-4)
        both = Teacher(system, [more]).logits(x)
        torch.testing.assert_close(both, (cloud + more(x)) / 2, atol=1e-4, rtol=1e-4)
        wanted = (cloud + mirrored + more(x) + more(x.flip(3))) / 4
    teacher = Teacher(system, [more], mirrored=True)
    torch.testing.assert_close(teacher.logits(x), wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(teacher.logits(x, teacher.feature(x)), wanted, atol=1e-4, rtol=1e-4)


def test_a_teachers_identity_is_that_of_its_answers(tiny_run: Path) -> None:
    system = load_run(tiny_run).system
    teachers = [
        Teacher(system),
        Teacher(system, mirrored=True),
        Teacher(system, [other(1)]),
        Teacher(system, [other(2)]),
    ]
    assert len({teacher.identity for teacher in teachers}) == 4
    assert Teacher(load_run(tiny_run).system, [other(1)]).identity == teachers[2].identity


def test_a_recipe_with_more_teachers_and_views_trains_on_their_answers(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_file(other(1).state_dict(), tmp_path / "other.safetensors")
    also = {
        "model": "resnet",
        "arguments": {"widths": [4, 8, 8], "blocks": [1, 1, 1]},
        "weights": {"file": str(tmp_path / "other.safetensors")},
    }
    phase = {"name": "taught", "train": ["adapter", "tail"], "epochs": 2, "batch": 100, "loss": TAUGHT}
    phase |= {"learning_rate": 0.02, "feature": {"method": "regression"}}

    def run(out: str, **teacher: object) -> list[dict]:
        recipe = tiny.recipe(init=str(tiny_run), phases=[phase], teacher=teacher)
        return [row["objectives"] for row in train(recipe, tmp_path / out, threads=1).metrics["epochs"]]

    alone, together = run("alone"), run("together", also=[also])
    kept = run("kept", also=[also], views=4, mirrored=True)
    assert together != alone
    assert kept[1]["adapted"] < kept[0]["adapted"]
    assert len(list(cache_folder().iterdir())) == 1
    assert run("again", also=[also], views=4, mirrored=True) == kept
    assert len(list(cache_folder().iterdir())) == 1


def test_a_teacher_needs_weights() -> None:
    with pytest.raises((RecipeError, ValueError), match="the teacher resnet needs weights"):
        tiny.recipe(teacher={"also": [{"model": "resnet"}]})
