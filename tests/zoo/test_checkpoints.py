"""Weights from files: what loads, under which names, and what is refused."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError

State = dict[str, torch.Tensor]


def small(**arguments: object) -> zoo.Backbone:
    return zoo.build("resnet", input_shape=(3, 8, 8), classes=4, **{"widths": (4, 8), "blocks": 1, **arguments}).eval()


def named_as_in_the_field(backbone: zoo.Backbone, shortcut: str = "downsample", head: str = "fc") -> State:
    """The state of a resnet under torchvision's names, written out here independently of the package's mapping."""
    inner = {"body.0": "conv1", "body.1": "bn1", "body.3": "conv2", "body.4": "bn2", "body.6": "conv3", "body.7": "bn3"}
    found = {}
    for key, tensor in backbone.state_dict().items():
        name = key.replace("stages.stem.0", "conv1").replace("stages.stem.1", "bn1").replace("stages.head.2", head)
        name = name.replace("stages.stage", "layer").replace("shortcut", shortcut)
        for ours, theirs in inner.items():
            name = re.sub(rf"(layer\d\.\d)\.{re.escape(ours)}\.", rf"\1.{theirs}.", name)
        found[name] = tensor
    assert not any("stage" in name or "body" in name for name in found)
    return found


def randomised(backbone: zoo.Backbone) -> zoo.Backbone:
    with torch.no_grad():
        for tensor in backbone.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return backbone


def assert_same(one: zoo.Backbone, two: zoo.Backbone) -> None:
    x = torch.randn(2, *one.input_shape)
    with torch.no_grad():
        torch.testing.assert_close(one(x), two(x), rtol=0, atol=0)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".th", ".pth"])
def test_pytorch_checkpoints(wrapper: str | None, suffix: str, tmp_path: Path) -> None:
    source = randomised(small())
    state = {f"module.{key}": tensor for key, tensor in named_as_in_the_field(source).items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / f"weights{suffix}")
    target = small()
    zoo.load_weights(target, tmp_path / f"weights{suffix}", prefix="module.")
    assert_same(source, target)


def test_safetensors_in_half_precision_under_own_names(tmp_path: Path) -> None:
    source = randomised(small()).half().float()
    halves = {key: t.half() if t.is_floating_point() else t for key, t in source.state_dict().items()}
    save_file({**{f"edge.{k}": t for k, t in halves.items()}, "cloud.x": torch.ones(1)}, tmp_path / "s.safetensors")
    target = small()
    zoo.load_weights(target, tmp_path / "s.safetensors", prefix="edge.")
    assert_same(source, target)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("resnet18", {"width": 4}), ("resnet50", {"width": 4, "stem": "large"}), ("cifar-resnet", {"depth": 8})],
)
def test_the_names_of_resnets_in_the_field(name: str, arguments: dict, tmp_path: Path) -> None:
    source, target = (zoo.build(name, input_shape=(3, 32, 32), classes=4, **arguments).eval() for _ in range(2))
    torch.save(named_as_in_the_field(randomised(source), shortcut="shortcut", head="linear"), tmp_path / "w.pt")
    zoo.load_weights(target, tmp_path / "w.pt")
    assert_same(source, target)


def test_the_names_of_torchvisions_mobilenet(tmp_path: Path) -> None:
    source, target = (
        zoo.build("mobilenet-v2", input_shape=(3, 16, 16), classes=4, width=0.25).eval() for _ in range(2)
    )
    counts, state = [1, 2, 3, 4, 3, 3, 1], {}
    for key, tensor in randomised(source).state_dict().items():
        name = key.removeprefix("stages.").replace("stem.", "features.0.").replace("head.6.", "classifier.1.")
        name = re.sub(r"^head\.", "features.18.", name)
        if stage := re.match(r"stage(\d)\.(\d)\.", name):
            index = 1 + sum(counts[: int(stage[1]) - 1]) + int(stage[2])
            name = f"features.{index}.{name[stage.end() :]}"
        state[name] = tensor
    assert {"features.1.conv.0.0.weight", "features.17.conv.3.bias", "classifier.1.bias"} <= set(state)
    torch.save(state, tmp_path / "w.pt")
    zoo.load_weights(target, tmp_path / "w.pt")
    assert_same(source, target)


def test_own_models_take_their_own_names(tmp_path: Path) -> None:
    source, target = (zoo.build("tests.zoo.models:small", input_shape=(3, 16, 16), classes=4).eval() for _ in range(2))
    state = {f"net.{key}": tensor for key, tensor in randomised(source).model.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    zoo.load_weights(target, tmp_path / "w.pt", prefix="net.")
    assert_same(source, target)


def test_rename_works_on_whole_parts_of_a_key_in_order(tmp_path: Path) -> None:
    source, target = randomised(small()), small()
    state = {}
    for key, tensor in named_as_in_the_field(source).items():
        name = (
            re.sub(r"^conv1\.", "backbone.entry.", key).replace("downsample", "skip").replace("fc.", "classifier.fc.")
        )
        state[name] = tensor
    torch.save(state, tmp_path / "w.pt")
    rename = {"backbone.entry": "conv1", "skip": "downsample", "classifier.fc": "fc", "lay": "never", "conv": "never"}
    zoo.load_weights(target, tmp_path / "w.pt", rename=rename)
    assert_same(source, target)


def test_what_does_not_fit_is_said_shortly_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    state = named_as_in_the_field(randomised(small()))
    target = small()
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}

    def refused(state: State, match: str, **arguments: object) -> str:
        torch.save(state, file)
        with pytest.raises(RecipeError, match=match) as caught:
            zoo.load_weights(target, file, **arguments)
        assert all(torch.equal(tensor, before[key]) for key, tensor in target.state_dict().items())
        return caught.value.hint

    hint = refused(
        {f"module.{k}": t for k, t in state.items()},
        r"32 missing: stages.stem.0.weight, .* and 29 more\n  38 unexpected: module.conv1.weight,",
    )
    assert "`prefix` and `rename`" in hint
    assert "All its keys start with 'module.'" in hint
    refused({k: t for k, t in state.items() if k != "fc.bias"}, r"1 missing: stages.head.2.bias\n")
    refused({**state, "fc2.bias": torch.ones(4)}, r"1 unexpected: fc2.bias\n")
    hint = refused(
        {**state, "fc.weight": torch.ones(9, 8)},
        r"1 of another shape: stages.head.2.weight \(\[9, 8\] in the file, \[4, 8\] in the model\)",
    )
    assert "number of classes" in hint
    refused({**state, "linear.bias": torch.ones(4)}, "two tensors of .* are 'stages.head.2.bias'")


class _Harm:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.file,))


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    def refused(name: str, content: object, match: str) -> None:
        file = tmp_path / name
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif content is not None:
            torch.save(content, file)
        with pytest.raises(RecipeError, match=match):
            zoo.load_weights(small(), file)

    harm = tmp_path / "harm"
    refused("absent.pt", None, "there is no checkpoint")
    refused("weights.onnx", b"x", "no checkpoint by its name")
    refused("text.pt", b"hello", "not a PyTorch checkpoint, or is damaged|would run code")
    refused("empty.pth", b"", "not a PyTorch checkpoint, or is damaged: EOFError")
    refused("text.safetensors", b"hello", "cannot be read as safetensors")
    refused("module.pt", torch.nn.Linear(2, 2), r"would run code to be read \(torch.nn.modules.linear.Linear\)")
    refused("harm.pt", {"state_dict": _Harm(harm)}, "would run code to be read")
    refused("harm.th", pickle.dumps(_Harm(harm)), "would run code to be read")
    refused("nothing.pt", {"epoch": 1, "net": {"a": torch.ones(1)}}, "no weights by name, but keys epoch, net")
    refused("list.pt", [1, 2], "no weights by name, but a list")
    whole = tmp_path / "whole.pt"
    torch.save(small().state_dict(), whole)
    refused("cut.pt", whole.read_bytes()[:-200], "not a PyTorch checkpoint, or is damaged")
    assert not harm.exists()


DATA = Path(os.environ.get("ECC_DEPLOY_DATA", ""))
CHECKPOINTS = {20: "resnet20-12fca82f.th", 32: "resnet32-d509ac18.th", 56: "resnet56-4bfd9763.th"}
needs_data = pytest.mark.skipif(
    not (DATA / "weights/cifar10_resnet").is_dir(), reason="ECC_DEPLOY_DATA names no folder with CIFAR-10 checkpoints"
)


def published(depth: int) -> zoo.Backbone:
    backbone = zoo.build("cifar-resnet", input_shape=(3, 32, 32), classes=10, depth=depth)
    zoo.load_weights(backbone, DATA / "weights/cifar10_resnet" / CHECKPOINTS[depth], prefix="module.")
    return backbone.eval()


@pytest.fixture(scope="session")
def cifar10_test(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 1,000 test images, normalised with ImageNet's mean and deviation, and their labels."""
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, DATA / "unpack.py", folder], check=True, capture_output=True)
    records = np.fromfile(folder / "cifar-10-batches-bin/test_batch.bin", np.uint8).reshape(-1, 3073)[:1000]
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    return normalised, torch.from_numpy(records[:, 0].astype(np.int64))


@needs_data
@pytest.mark.parametrize("depth", CHECKPOINTS)
def test_published_checkpoints_load(depth: int, cifar10_test: tuple[torch.Tensor, torch.Tensor]) -> None:
    """On the first 200 images; on all 10,000 they have 91.73, 92.63 and 93.39 %, and an untrained one has 10 %."""
    images, labels = (part[:200] for part in cifar10_test)
    with torch.no_grad():
        assert (published(depth)(images).argmax(1) == labels).float().mean().item() > 0.88


@needs_data
def test_resnet20_has_its_accuracy(cifar10_test: tuple[torch.Tensor, torch.Tensor]) -> None:
    """915 of the first 1,000; another CPU sums in another order, so one on the edge of a decision may tip."""
    images, labels = cifar10_test
    backbone = published(20)
    with torch.no_grad():
        right = sum(
            (backbone(x).argmax(1) == y).sum().item() for x, y in zip(images.split(250), labels.split(250), strict=True)
        )
    assert right == pytest.approx(915, abs=2)
