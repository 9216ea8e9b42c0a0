import pytest
import torch

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError
from ecc_deploy.partition.cost import macs
from ecc_deploy.zoo.resnet import BasicBlock, PaddedShortcut


def build(**arguments: object) -> zoo.Backbone:
    return zoo.build("resnet", input_shape=(3, 32, 32), classes=7, **arguments).eval()


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    """0.27 M (He et al. 2016, table 6); the projections of option B add 2,752."""
    model = build()
    assert 265_000 < sum(p.numel() for p in model.parameters()) < 280_000
    assert model.stage_names == ["stem", "stage1", "stage2", "stage3", "head"]


@torch.no_grad()
def test_shapes_on_both_sides_of_a_stage() -> None:
    model = build(widths=(4, 8, 16), blocks=(1, 2, 1))
    assert model.entry_shape("stem") == (3, 32, 32)
    assert model.feature_shape("stage1") == model.entry_shape("stage2") == (4, 32, 32)
    assert model.feature_shape("stage3") == (16, 8, 8)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


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


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)])
def test_cifar_resnets_have_the_parameters_of_the_paper(depth: int, parameters: int) -> None:
    """0.27, 0.46, 0.66 and 0.85 M (table 6)."""
    model = zoo.build("cifar-resnet", input_shape=(3, 32, 32), classes=10, depth=depth)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.stage_names == ["stem", "stage1", "stage2", "stage3", "head"]


@pytest.mark.parametrize("depth", [0, 2, 18, 21, 1202.5])
def test_cifar_resnets_have_6n_plus_2_layers(depth: int) -> None:
    with pytest.raises(RecipeError, match=r"depth of 6n \+ 2 layers, not") as caught:
        zoo.build("cifar-resnet", input_shape=(3, 32, 32), classes=10, depth=depth)
    assert "20" in caught.value.hint


@pytest.mark.parametrize(("size", "wanted"), [(6, [[0, 2, 4]]), (5, [[0, 2, 4]])])
def test_padded_shortcut(size: int, wanted: list) -> None:
    """Three channels to eight: two zeros before and three behind; every second pixel, as the strided convolution."""
    x = torch.randn(2, 3, size, size)
    y = PaddedShortcut(3, 8, stride=2)(x)
    assert y.shape == (2, 8, 3, 3) == BasicBlock(3, 8, 2, "identity")(x).shape
    assert not y[:, :2].any()
    assert not y[:, 5:].any()
    for i, row in enumerate(wanted[0]):
        for j, column in enumerate(wanted[0]):
            assert torch.equal(y[:, 2:5, i, j], x[:, :, row, column])


def test_an_identity_shortcut_adds_no_parameters_and_cannot_shrink() -> None:
    names = build(shortcut="identity").state_dict()
    assert not [name for name in names if "shortcut" in name]
    with pytest.raises(RecipeError, match="cannot go from 8 to 4 channels") as caught:
        build(widths=(8, 4), blocks=1, shortcut="identity")
    assert "projection" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "parameters", "million_macs"),
    [("resnet18", 11_689_512, 1_814), ("resnet34", 21_797_672, 3_664), ("resnet50", 25_557_032, 4_089)],
)
def test_four_stage_resnets_are_the_usual_ones(name: str, parameters: int, million_macs: int) -> None:
    """Parameters and multiply-accumulates of torchvision's."""
    with torch.device("meta"):
        model = zoo.build(name, input_shape=(3, 224, 224), classes=1000, stem="large")
    assert model.stage_names == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
    assert sum(p.numel() for p in model.parameters()) == parameters
    with torch.device("meta"):
        assert round(macs(model, (3, 224, 224)) / 1e6) == million_macs


def test_slim_and_small_four_stage_resnets() -> None:
    model = zoo.build("resnet18", input_shape=(3, 32, 32), classes=10, width=16)
    assert [model.feature_shape(f"stage{i}") for i in range(1, 5)] == [
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
        (128, 4, 4),
    ]
    for arguments in ({"stem": "tiny"}, {"shortcut": "none"}):
        with pytest.raises(RecipeError, match=r"is one of \w+, \w+, not"):
            zoo.build("resnet18", input_shape=(3, 32, 32), classes=10, **arguments)
