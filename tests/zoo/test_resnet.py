import pytest
import torch

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError


def build(**arguments: object) -> zoo.Backbone:
    return zoo.build("resnet", input_shape=(3, 32, 32), classes=7, **arguments).eval()


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    """0.27 M (He et al. 2016, table 6); the projections of option B add 2,752."""
    model = build()
    assert 265_000 < sum(p.numel() for p in model.parameters()) < 280_000
    assert model.stage_names == ["stem", "stage1", "stage2", "stage3", "head"]


@pytest.mark.parametrize("stage", ["stem", "stage1", "stage2", "stage3"])
@torch.no_grad()
def test_a_cut_anywhere_is_the_whole(stage: str) -> None:
    model = build(widths=(4, 8, 8), blocks=1)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.after(stage)(model.through(stage)(x)), model(x), rtol=0, atol=0)


@torch.no_grad()
def test_shapes_on_both_sides_of_a_stage() -> None:
    model = build(widths=(4, 8, 16), blocks=(1, 2, 1))
    assert model.entry_shape("stem") == (3, 32, 32)
    assert model.feature_shape("stage1") == model.entry_shape("stage2") == (4, 32, 32)
    assert model.feature_shape("stage3") == (16, 8, 8)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_parts_share_parameters() -> None:
    model = build(widths=(4, 8), blocks=1)
    parts = {id(p) for p in model.through("stage1").parameters()} | {
        id(p) for p in model.from_stage("stage2").parameters()
    }
    assert parts == {id(p) for p in model.parameters()}


def test_wrong_names_and_arguments() -> None:
    with pytest.raises(RecipeError, match="no backbone named 'vgg'"):
        zoo.build("vgg", input_shape=(1, 8, 8), classes=2)
    with pytest.raises(RecipeError, match="unexpected keyword argument 'depth'"):
        build(depth=3)
    with pytest.raises(RecipeError, match="positive widths"):
        build(widths=(4, 8), blocks=(1, 2, 3))
    with pytest.raises(RecipeError) as caught:
        build().through("layer9")
    assert "stem, stage1" in caught.value.hint
