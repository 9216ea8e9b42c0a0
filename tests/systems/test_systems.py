import pytest
import torch

from ecc_deploy import zoo
from ecc_deploy.errors import RecipeError
from ecc_deploy.systems.adapter import Adapter, BottleneckQuantizer
from ecc_deploy.systems.architectures import Adaptive, Dynamic, Independent
from ecc_deploy.systems.gate import LearnedGate
from ecc_deploy.systems.system import EdgeCloudSystem, Split


def make_system(bits: int = 4) -> EdgeCloudSystem:
    torch.manual_seed(0)
    edge = zoo.build("resnet", input_shape=(1, 28, 28), classes=10, widths=(4, 8), blocks=1)
    cloud = zoo.build("resnet", input_shape=(1, 28, 28), classes=10, widths=(8, 16, 16), blocks=1)
    adapter = Adapter(
        edge.feature_shape("stage1"),
        cloud.entry_shape("stage3"),
        channels=4,
        encoder_stride=2,
        bits=bits,
        decoder_blocks=1,
    )
    system = EdgeCloudSystem(edge, cloud, Split("stage1", "stage3"), adapter, LearnedGate(10, 4)).eval()
    torch.nn.init.constant_(system.adapter.quantizer.step, 0.1)
    return system


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 32])
@torch.no_grad()
def test_halves_make_up_the_system(bits: int) -> None:
    """Edge half, quantizer, cloud half, run one after the other, are the system's own forward pass."""
    system = make_system(bits)
    x = torch.randn(5, 1, 28, 28)
    edge_logits, adapted = system.edge_and_adapted(x)
    for architecture in (Adaptive(system), Dynamic(system)):
        out = architecture.edge_half()(x)
        if architecture.is_gated:
            torch.testing.assert_close(out[0], edge_logits, rtol=0, atol=0)
            out = out[1]
        assert out.shape == (5, *system.adapter.boundary_shape)
        quantizer = system.adapter.quantizer
        received = quantizer.codes(out) * quantizer.step if quantizer.is_integer else out
        torch.testing.assert_close(architecture.cloud_half()(received), adapted)
    independent = Independent(system)
    torch.testing.assert_close(independent.edge_half()(x), system.edge(x), rtol=0, atol=0)
    torch.testing.assert_close(independent.cloud_half()(x), system.cloud(x), rtol=0, atol=0)


@torch.no_grad()
def test_halves_of_a_learned_gate_say_what_it_says() -> None:
    system = make_system()
    x = torch.randn(5, 1, 28, 28)
    feature = system.edge.through("stage1")(x)
    wanted = system.gate(system.edge(x), feature)
    assert wanted.shape == (5, 1)
    logits, confidence = Independent(system, learned_gate=True).edge_half()(x)
    torch.testing.assert_close(logits, system.edge(x), rtol=0, atol=0)
    torch.testing.assert_close(confidence, wanted, rtol=0, atol=0)
    logits, boundary, confidence = Dynamic(system, learned_gate=True).edge_half()(x)
    torch.testing.assert_close(logits, system.edge(x), rtol=0, atol=0)
    torch.testing.assert_close(boundary, Adaptive(system).edge_half()(x), rtol=0, atol=0)
    torch.testing.assert_close(confidence, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_quantizer_rounds_to_its_own_levels(bits: int) -> None:
    quantizer = BottleneckQuantizer(bits).eval()
    torch.nn.init.constant_(quantizer.step, 0.25)
    x = torch.tensor([-1.0, 0.0, 0.124, 0.126, 0.3, 0.625, 1000.0])
    # 0.625 / 0.25 = 2.5 rounds to even, as ONNX QuantizeLinear does.
    wanted = torch.tensor([0, 0, 0, 1, 1, 2, 1000]).clamp(max=2**bits - 1)
    assert quantizer.codes(x).tolist() == wanted.tolist()
    torch.testing.assert_close(quantizer(x), wanted * 0.25)


def test_quantizer_passes_gradients_straight_through_inside_its_range() -> None:
    quantizer = BottleneckQuantizer(2)
    torch.nn.init.constant_(quantizer.step, 1.0)
    x = torch.tensor([[-1.0, 0.4, 1.3, 2.2, 9.0]], requires_grad=True)
    quantizer(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 1.0, 0.0]]
    assert quantizer.step.grad is not None
    # LSQ: round(v) - v inside, the clip level outside, times 1 / sqrt(elements * top).
    wanted = (0 + (0 - 0.4) + (1 - 1.3) + (2 - 2.2) + 3) / (5 * 3) ** 0.5
    assert quantizer.step.grad.item() == pytest.approx(wanted, rel=1e-5)


def test_quantizer_sets_its_step_from_the_first_batch() -> None:
    quantizer = BottleneckQuantizer(4).train()
    quantizer(torch.full((2, 3), 1.5))
    assert quantizer.step.item() == pytest.approx(2 * 1.5 / 15**0.5)


def test_tuning_the_tail_leaves_the_cloud_alone() -> None:
    system = make_system()
    before = system.cloud.stages.stage3[0].body[0].weight.clone()
    with torch.no_grad():
        for parameter in system.tail.parameters():
            parameter.add_(1)
    after = system.cloud.stages.stage3[0].body[0].weight
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    system.reset_tail()
    x = torch.randn(1, *system.cloud.entry_shape("stage3"))
    torch.testing.assert_close(system.tail(x), system.cloud.from_stage("stage3")(x))


@pytest.mark.parametrize(("stride", "shape"), [(1, (4, 14, 14)), (2, (4, 7, 7)), (4, (4, 4, 4))])
def test_adapter_reaches_the_cloud_stage(stride: int, shape: tuple) -> None:
    edge, cloud = (8, 14, 14), (16, 7, 7)
    arguments = {"channels": 4, "encoder_stride": stride, "bits": 8, "decoder_blocks": 0}
    if stride == 4:
        with pytest.raises(RecipeError, match="4x4 cannot be brought to the 7x7"):
            Adapter(edge, cloud, **arguments)
        return
    adapter = Adapter(edge, cloud, **arguments).eval()
    assert adapter.boundary_shape == shape
    torch.nn.init.constant_(adapter.quantizer.step, 0.1)
    assert adapter(torch.randn(2, *edge)).shape == (2, *cloud)


@pytest.mark.parametrize(
    ("stride", "blocks", "widths"),
    [(1, 1, [8]), (2, 1, [16]), (2, 2, [16, 16]), (4, 1, [16]), (4, 2, [16, 32]), (3, 1, [8])],
)
def test_encoder_blocks_share_the_stride_and_widen(stride: int, blocks: int, widths: list[int]) -> None:
    edge = (8, 12, 12)
    size = 12 // stride
    adapter = Adapter(
        edge, (16, size, size), channels=4, encoder_stride=stride, bits=32, encoder_blocks=blocks, decoder_blocks=0
    ).eval()
    assert adapter.encoder(torch.randn(2, *edge)).shape == (2, *adapter.boundary_shape) == (2, 4, size, size)
    assert [block.body[0].out_channels for block in adapter.encoder[:blocks]] == widths


def test_adapter_upsamples_where_the_cloud_is_larger() -> None:
    adapter = Adapter((8, 7, 7), (16, 14, 14), channels=2, encoder_stride=1, bits=32, decoder_blocks=1).eval()
    decoded = adapter(torch.randn(3, 8, 7, 7))
    assert decoded.shape == (3, 16, 14, 14)
    # Last of all: whatever else the decoder does, it does at the boundary's size.
    assert torch.equal(decoded[..., ::2, ::2], decoded[..., 1::2, 1::2])


def test_unknown_stage_is_found_at_once() -> None:
    system = make_system()
    with pytest.raises(RecipeError, match="no stage 'stage9'"):
        EdgeCloudSystem(system.edge, system.cloud, Split("stage9", "stage3"), system.adapter, system.gate)
