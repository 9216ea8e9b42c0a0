import pytest

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError
from ecc_deploy.partition.cost import macs
from ecc_deploy.zoo.mobilenet import divisible


def test_the_large_one_is_that_of_the_paper() -> None:
    """3.4 M parameters and 300 M multiply-adds (Sandler et al. 2018, table 4); torchvision's has 3,504,872."""
    model = zoo.build("mobilenet-v2", input_shape=(3, 224, 224), classes=1000, stem="large")
    assert sum(p.numel() for p in model.parameters()) == 3_504_872
    assert macs(model, (3, 224, 224)) == pytest.approx(300e6, rel=0.01)
    assert model.feature_shape("stage7") == (320, 7, 7)


def test_the_small_plan_keeps_small_images_large_enough() -> None:
    model = zoo.build("mobilenet-v2", input_shape=(3, 32, 32), classes=10, width=0.5)
    assert model.stage_names == ["stem", *(f"stage{i}" for i in range(1, 8)), "head"]
    sizes = [model.feature_shape(stage)[1] for stage in model.stage_names[:-1]]
    assert sizes == [32, 32, 32, 16, 8, 8, 4, 4]
    assert model.feature_shape("stage3") == (16, 16, 16)


@pytest.mark.parametrize(
    ("channels", "wanted"), [(3.2, 8), (16, 16), (24 * 0.75, 24), (32 * 0.35, 16), (96 * 1.4, 136), (12, 16)]
)
def test_channels_are_multiples_of_eight(channels: float, wanted: int) -> None:
    assert divisible(channels) == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": "huge"}, "stem is one of small, large, not 'huge'"),
        ({"width": 0}, "positive width"),
        ({"dropout": 1.0}, "dropout below 1"),
    ],
)
def test_wrong_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        zoo.build("mobilenet-v2", input_shape=(3, 32, 32), classes=10, **arguments)
