import torch
from torch import nn

from ecc_deploy.partition.cost import macs
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL, halves_of
from tests.systems.test_systems import make_system


def test_macs_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 8 x 8 outputs
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    assert macs(model, (3, 16, 16)) == 3 * 8 * 9 * 64 + 8 * 9 * 64 + 8 * 5


def test_counting_leaves_every_mode_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    model.train()
    model[1].eval()
    before = model[1].state_dict()["running_mean"].clone()
    macs(model, (1, 8, 8))
    assert [part.training for part in model] == [True, False, True]
    assert torch.equal(model[1].state_dict()["running_mean"], before)


def test_halves_cost_what_they_hold() -> None:
    """Both ways of running the edge differ by what they leave out; nothing is counted twice."""
    system = make_system()
    halves = halves_of(system, 10).sources
    edge, encode, both = (halves[key].macs for key in (EXIT, ENCODE, EXIT_AND_ENCODE))
    shared = macs(system.edge.through("stage1"), system.input_shape)
    assert both == edge + encode - shared
    assert halves[FULL].macs == macs(system.cloud, system.input_shape)
    tail = macs(system.cloud.from_stage("stage3"), system.cloud.entry_shape("stage3"))
    decoder = macs(system.adapter.decoder, system.adapter.boundary_shape)
    assert halves[TAIL].macs == tail + decoder


def test_a_learned_gate_is_one_more_output_of_the_halves_that_answer() -> None:
    system = make_system()
    plain, gated = halves_of(system, 10).sources, halves_of(system, 10, learned_gate=True).sources
    gate = 32 * (5 + 4) + 32  # five probabilities and four channels to 32, to one
    for key in (EXIT, EXIT_AND_ENCODE):
        assert [t.name for t in gated[key].outputs] == [*(t.name for t in plain[key].outputs), "confidence"]
        assert gated[key].macs == plain[key].macs + gate
        assert gated[key].boundary == plain[key].boundary
    for key in (ENCODE, FULL, TAIL):
        assert gated[key].outputs == plain[key].outputs
        assert gated[key].macs == plain[key].macs
