"""Users' own models: what can go wrong, and what is said about it."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError

HERE = "tests.zoo.models"


def build(factory: str, **arguments: object) -> zoo.Backbone:
    return zoo.build(f"{HERE}:{factory}", input_shape=(3, 16, 16), classes=7, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message", "hint"),
    [
        ("no_such_package.module:factory", {}, "there is no module no_such_package", "PYTHONPATH"),
        (f"{HERE}:smal", {}, "there is no smal in it", "Did you mean small"),
        (f"{HERE}:not_a_factory", {}, "not_a_factory is not callable", ""),
        (f"{HERE}:small(10)", {}, "does not name a model", "package.module:factory"),
        (f"{HERE}:small", {"depth": 3}, "TypeError: .*unexpected keyword argument 'depth'", ""),
        (f"{HERE}:failing", {}, r"KeyError: 'no such size' \(.*models.py:\d+\)", ""),
        (f"{HERE}:refusing", {}, "^the factory's own words", ""),
        (f"{HERE}:no_module", {}, "made a int, and must make a torch.nn.Module", ""),
        (f"{HERE}:small", {"num_classes": 9}, r"gives \[2, 9\] .*must give logits \[2, 7\]", "number of classes"),
        ("torch.nn:Flatten", {}, "is no model", ""),
        ("os:system", {"command": "touch harm"}, "is no model", ""),
    ],
)
def test_factories_that_cannot_be_used(
    name: str, arguments: dict, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=message) as caught:
        zoo.build(name, input_shape=(3, 16, 16), classes=7, **arguments)
    assert hint in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_module_that_fails_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_models.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RecipeError, match=r"importing broken_models failed: .*no_such_dependency.*broken_models.py:1"):
        zoo.build("broken_models:net", input_shape=(3, 16, 16), classes=7)
    assert "broken_models" not in sys.modules


def test_inputs_that_the_model_does_not_take() -> None:
    with pytest.raises(RecipeError, match=r"Small on \[1, 16, 16\] images failed: ValueError: three channels"):
        zoo.build(f"{HERE}:small", input_shape=(1, 16, 16), classes=7)


@pytest.mark.parametrize(
    ("factory", "arguments", "stage", "message"),
    [
        ("small", {}, "fc", r"\[7\] crosses per sample, and it must be \[C, H, W\]"),
        ("small", {}, "drop", r"\[8\] crosses per sample"),
        ("small", {}, "body", "body is never run by itself"),
        ("small", {}, "body.second.norm", None),
        (
            "Wrong",
            {"why": "values"},
            "body.second",
            r"reads the values of a tensor that it has computed \(__bool__\)",
        ),
        ("Wrong", {"why": "chance"}, "body.second", r"that it has computed \(__bool__\)"),
        ("Wrong", {"why": "twice"}, "body.second", "body.second is run 2 times"),
        (
            "Wrong",
            {"why": "two"},
            "body.second",
            r"2 tensors cross .*body.first \[4, 8, 8\], .*body.second \[8, 4, 4\]",
        ),
        ("Wrong", {"why": "two"}, "body.first", None),
        ("Wrong", {"why": "batch"}, "body.second", "another way for another batch"),
        ("Wrong", {"why": "outside"}, "body.second", "logits cannot be followed back to the input"),
        ("Wrong", {"why": "side"}, "body.second", "only what leaves body.first .* crosses there"),
    ],
)
def test_cuts_that_cannot_be_made(factory: str, arguments: dict, stage: str, message: str | None) -> None:
    backbone = build(factory, **arguments)
    if message is None:
        backbone.after(stage)
        return
    with pytest.raises(RecipeError, match=message) as caught:
        backbone.after(stage)
    assert "the model cannot be cut behind" in caught.value.message
    assert caught.value.hint


def test_a_misspelt_path_is_told_its_neighbours() -> None:
    with pytest.raises(RecipeError, match=r"Small has no module 'body\.secnd'") as caught:
        build("small").feature_shape("body.secnd")
    assert caught.value.hint.startswith("The nearest are body.second,")


def test_making_a_cut_leaves_no_trace() -> None:
    """Neither in the weights, the statistics, the modes nor in the random numbers that follow."""
    backbone = build("small").train()
    backbone.model.fc.eval()
    before = copy.deepcopy(backbone.state_dict())
    state = torch.random.get_rng_state()
    part = backbone.through("project")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())
    assert part.training
    assert backbone.model.drop.training
    assert not backbone.model.fc.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in backbone.modules())


def test_a_cut_can_be_made_anywhere() -> None:
    backbone = build("small").eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert backbone.feature_shape("body.second") == (8, 4, 4)


def test_parts_follow_the_model_to_another_device() -> None:
    backbone = build("small").eval()
    backbone.through("body.second")
    backbone.after("body.second")
    backbone.to("meta")
    feature = backbone.through("body.second")(torch.zeros(2, 3, 16, 16, device="meta"))
    assert backbone.after("body.second")(feature).device.type == "meta"


def test_modules_of_the_same_name_do_not_mix() -> None:
    """One module under two names, and a model whose own submodule is called ``model``."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Conv2d(3, 4, 3)
            self.alias = self.model
            self.fc = nn.Linear(4, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.alias(x).mean((2, 3)))

    from ecc_deploy.zoo.own import ModuleBackbone

    backbone = ModuleBackbone(Twice(), (3, 16, 16), 7)
    assert backbone.feature_shape("alias") == backbone.feature_shape("model") == (4, 14, 14)
    assert backbone.own_key("model.weight") == "model.model.weight"
