"""What every backbone promises: those of the zoo and users' own alike."""

import copy
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from ecc_deploy import zoo
from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.onnx_graph import to_onnx
from ecc_deploy.bundle import TensorInfo
from ecc_deploy.errors import RecipeError
from ecc_deploy.partition.cost import macs


@dataclass(frozen=True)
class Case:
    name: str
    arguments: dict
    stages: tuple[str, ...]
    """Where it can be cut, on both sides."""
    size: int = 16


CASES = {
    "resnet": Case("resnet", {"widths": (4, 8, 8), "blocks": 1}, ("stem", "stage1", "stage2", "stage3")),
    "cifar-resnet": Case("cifar-resnet", {"depth": 14, "width": 4}, ("stem", "stage1", "stage2", "stage3")),
    "resnet18": Case("resnet18", {"width": 4}, ("stem", "stage1", "stage2", "stage3", "stage4")),
    "resnet50": Case("resnet50", {"width": 4, "stem": "large"}, ("stem", "stage1", "stage2", "stage3", "stage4"), 64),
    "mobilenet-v2": Case("mobilenet-v2", {"width": 0.25}, ("stem", *(f"stage{i}" for i in range(1, 8)))),
    "own": Case("tests.zoo.models:small", {}, ("body.first", "body.second", "project", "act")),
    "own, branching on values": Case("tests.zoo.models:branching", {}, ("body.first", "body.second", "project")),
    "transformers resnet": Case(
        "tests.zoo.models:resnet_of_transformers",
        {},
        ("resnet.embedder", "resnet.encoder.stages.0", "resnet.encoder.stages.1", "resnet.encoder.stages.1.layers.0"),
        32,
    ),
    "transformers mobilenet": Case(
        "tests.zoo.models:mobilenet_of_transformers", {}, ("mobilenet_v2.conv_stem", "mobilenet_v2.layer.5"), 32
    ),
}
CUTS = [pytest.param(case, stage, id=f"{key}-{stage}") for key, case in CASES.items() for stage in case.stages]
ONE_CUT = [pytest.param(case, case.stages[1], id=key) for key, case in CASES.items()]


def build(case: Case) -> zoo.Backbone:
    torch.manual_seed(0)
    backbone = zoo.build(case.name, input_shape=(3, case.size, case.size), classes=7, **case.arguments)
    with torch.no_grad():  # statistics other than the initial ones
        backbone.train()(torch.randn(8, *backbone.input_shape))
    return backbone.eval()


@pytest.mark.parametrize(("case", "stage"), CUTS)
@torch.no_grad()
def test_a_cut_is_the_whole(case: Case, stage: str) -> None:
    backbone = build(case)
    assert stage in backbone.stage_names
    x = torch.randn(5, *backbone.input_shape)
    logits = backbone(x)
    assert logits.shape == (5, 7)
    feature = backbone.through(stage)(x)
    before = feature.clone()
    torch.testing.assert_close(backbone.after(stage)(feature), logits, rtol=0, atol=0)
    torch.testing.assert_close(feature, before, rtol=0, atol=0)  # an encoder reads it too
    assert backbone.feature_shape(stage) == feature.shape[1:]
    entered: list[torch.Tensor] = []
    module = next(module for path, module in backbone.named_modules() if path.split(".", 1)[-1] == stage)
    with module.register_forward_pre_hook(lambda _, args: entered.append(args[0].clone())):
        backbone(x)
    assert backbone.entry_shape(stage) == entered[0].shape[1:]
    torch.testing.assert_close(backbone.from_stage(stage)(entered[0]), logits, rtol=0, atol=0)
    torch.testing.assert_close(backbone.before(stage)(x), entered[0], rtol=0, atol=0)


@pytest.mark.parametrize(("case", "stage"), ONE_CUT)
def test_costs_and_parameters_add_up(case: Case, stage: str) -> None:
    backbone = build(case)
    through, after = backbone.through(stage), backbone.after(stage)
    assert {id(p) for p in [*through.parameters(), *after.parameters()]} == {id(p) for p in backbone.parameters()}
    parts = macs(through, backbone.input_shape) + macs(after, backbone.feature_shape(stage))
    assert parts == macs(backbone, backbone.input_shape) > 0


@pytest.mark.parametrize(("case", "stage"), ONE_CUT)
def test_training_a_part_trains_the_backbone(case: Case, stage: str) -> None:
    """In training mode too, a part draws the same dropout and moves the same statistics as the whole."""
    backbone = build(case).train()
    twin = copy.deepcopy(backbone)
    x = torch.randn(4, *backbone.input_shape)
    torch.manual_seed(1)
    whole = twin(x)
    torch.manual_seed(1)
    parts = backbone.after(stage)(backbone.through(stage)(x))
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)
    whole.square().mean().backward()
    parts.square().mean().backward()
    for ours, theirs in zip(backbone.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(backbone.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(("case", "stage"), ONE_CUT)
@torch.no_grad()
def test_a_copied_tail_is_its_own_and_keeps_its_keys(case: Case, stage: str) -> None:
    backbone = build(case)
    tail = copy.deepcopy(backbone.from_stage(stage))
    assert list(tail.state_dict()) == list(build(case).from_stage(stage).state_dict())
    x = torch.randn(2, *backbone.entry_shape(stage))
    before = backbone.from_stage(stage)(x)
    for parameter in tail.parameters():
        parameter.add_(0.1)
    torch.testing.assert_close(backbone.from_stage(stage)(x), before, rtol=0, atol=0)
    assert not torch.equal(tail(x), before)
    tail.load_state_dict(backbone.from_stage(stage).state_dict())
    torch.testing.assert_close(tail(x), before, rtol=0, atol=0)


EXPORTED = ("cifar-resnet", "resnet50", "mobilenet-v2", "own", "transformers resnet")


@pytest.mark.parametrize(("case", "stage"), [pytest.param(CASES[k], CASES[k].stages[1], id=k) for k in EXPORTED])
def test_parts_export_to_onnx_and_give_the_same(case: Case, stage: str) -> None:
    backbone = build(case)
    tail = copy.deepcopy(backbone.from_stage(stage)).eval()
    sides = [(backbone.through(stage), backbone.input_shape), (tail, backbone.entry_shape(stage))]
    for module, shape in sides:
        with torch.no_grad():
            x = torch.randn(3, *shape)
            wanted = module(x)
        found = run_onnx(module, x, wanted)
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def run_onnx(module: nn.Module, x: torch.Tensor, example: torch.Tensor) -> np.ndarray:
    inputs = (TensorInfo(name="x", dtype="float32", shape=tuple(x.shape[1:]), layout="NCHW"),)
    layout = "NC" if example.ndim == 2 else "NCHW"
    outputs = (TensorInfo(name="y", dtype="float32", shape=tuple(example.shape[1:]), layout=layout),)
    graph = to_onnx(HalfSource("half", "edge", module, inputs, outputs, None, 0))
    return onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"x": x.numpy()})[0]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_name_that_is_no_stage(case: Case) -> None:
    backbone = build(case)
    for method in (backbone.through, backbone.after, backbone.before, backbone.from_stage):
        with pytest.raises(RecipeError, match=r"no (stage|module) 'stage99'") as caught:
            method("stage99")
        assert any(stage in caught.value.hint for stage in backbone.stage_names)
