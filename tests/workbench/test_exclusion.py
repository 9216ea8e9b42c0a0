"""What to keep float: how steps are chosen, and on a real half, compiled anew for ONNX Runtime."""

import json
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ecc_deploy.backends.onnx_graph import module_of
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BundleError, RecipeError, TargetError, UsageError
from ecc_deploy.export.exporter import export
from ecc_deploy.partition.halves import EXIT_AND_ENCODE, FULL
from ecc_deploy.quantization.calibration import load_calibration
from ecc_deploy.workbench import exclusion
from ecc_deploy.workbench.debug import Output, debug_bundle
from ecc_deploy.workbench.exclusion import climb, fitting, pays_off, propose_exclusions
from ecc_deploy.workbench.noise import Noise
from ecc_deploy.workbench.proposal import HalfProposal, Proposal, Step
from ecc_deploy.workbench.units import LARGEST

NEVER = 1000.0
"""Decibels that no half reaches."""


def step(snr_db: float, macs_share: float, *exclude: str) -> Step:
    noise = Noise(10 ** (snr_db / 10), 1.0)
    return Step(exclude, macs_share, 1000, (Output("logits", noise, 1.0), Output("confidence", Noise(1.0, 0.0), None)))


def test_a_step_is_worth_what_lacks() -> None:
    taken = Step((), 0, 0, tuple(Output("x", noise, None) for noise in (Noise(1000, 1), Noise(10, 1), Noise(1, 0))))
    assert taken.snr_db == pytest.approx(10)
    assert taken.worth(20) == pytest.approx(20 + 10 + 20)
    assert Step((), 0, 0, (Output("logits", Noise(1, 0), 1.0),)).snr_db == inf


@pytest.mark.parametrize(
    ("gain", "share", "pays"),
    [(3, 0.1, True), (0.9, 0.0, False), (1.1, 0.1, True), (1.1, 0.2, False), (4.2, 0.4, True), (-1, 0.0, False)],
)
def test_a_step_pays_by_its_gain_for_its_macs(gain: float, share: float, pays: bool) -> None:
    before = step(20, 0.1, "a")
    assert pays_off(step(20 + gain, 0.1 + share, "a", "b"), before, NEVER) is pays
    assert pays_off(step(20 + gain, 0.1 + share, "a", "b"), before, 20 + gain)  # it reaches what is wanted


def climbed(gains: dict[int, float], wanted: float = NEVER, share: float = 0.01) -> tuple[list[int], int]:
    """How many units each step had, and how many the one has that pays; ``gains``: in dB, by how many are excluded."""
    order = [f"unit{number}" for number in range(24)]

    def measure(worst: tuple[str, ...]) -> Step:
        return step(20 + gains.get(len(worst), 0), share * len(worst), *worst)

    steps, chosen = climb(step(20, 0), order, measure, wanted)
    return [len(one.exclude) for one in steps], len(steps[chosen].exclude)


def test_steps_double_until_nothing_more_pays() -> None:
    assert climbed({}) == ([0, 1, 2, 4, 8, 16, 24], 0)  # nothing helps, and everything was tried
    assert climbed({1: 2, 2: 4, 4: 6, 8: 8, 16: 10, 24: 12}) == ([0, 1, 2, 4, 8, 16, 24], 24)
    assert climbed({2: 3, 4: 3.5, 8: 3.9}) == ([0, 1, 2, 4, 8], 2)  # patience has an end
    assert climbed({2: 3, 4: 3.5, 8: 6, 16: 6}) == ([0, 1, 2, 4, 8, 16, 24], 8)
    assert climbed({1: 0.5, 2: 0.8, 4: 5}, wanted=24) == ([0, 1, 2, 4], 4)
    assert climbed({4: 5}, wanted=24, share=0.1) == ([0, 1, 2, 4], 4)  # what is wanted has its price
    assert climbed({4: 3.9}, share=0.1) == ([0, 1, 2, 4, 8, 16, 24], 0)


def test_units_that_fit_are_taken_in_order() -> None:
    costs = {"a": 30, "b": 40, "c": 15, "d": 60, "e": 5}
    assert fitting(["a", "b", "c", "d", "e"], costs, 50) == ["a", "c", "e"]
    assert fitting(["d"], costs, 50) == []


def propose(bundle: Bundle, run: Path, **options: Any) -> Proposal:
    return propose_exclusions(bundle, run, **{"halves": [EXIT_AND_ENCODE], "samples": 32, **options})


@pytest.fixture(scope="module")
def proposal(int8_bundle: Bundle, gated_run: Path) -> Proposal:
    return propose(int8_bundle, gated_run, wanted_snr_db=NEVER)


@pytest.fixture(scope="module")
def half(proposal: Proposal) -> HalfProposal:
    (found,) = proposal.halves
    return found


def test_steps_double_and_never_keep_more_than_half(half: HalfProposal) -> None:
    counts = [len(step.exclude) for step in half.steps]
    assert counts[0] == 0
    assert len(counts) >= 2
    assert all(b == min(2 * a or 1, counts[-1]) for a, b in pairwise(counts))
    order = half.steps[-1].exclude
    for taken in half.steps:
        assert taken.exclude == order[: len(taken.exclude)]
        assert taken.macs_share <= LARGEST
    shares = [step.macs_share for step in half.steps]
    assert shares == sorted(shares)


def test_units_are_ranked_by_what_their_noise_does_to_the_answer(half: HalfProposal) -> None:
    ratios = [ratio for _, ratio in half.ranked]
    assert ratios == sorted(ratios)
    assert all(np.isfinite(ratios))
    units = [unit for unit, _ in half.ranked]
    assert {"stages.stem", "stages.stage1.0", "rest.head", "encoder"} <= set(units)
    assert "gate" not in units  # it is float, and adds none


def test_only_outputs_that_lack_something_count(int8_bundle: Bundle, gated_run: Path) -> None:
    (asis,) = debug_bundle(int8_bundle, gated_run, halves=[EXIT_AND_ENCODE]).halves
    by_name = {output.name: output.noise.order for output in asis.outputs}
    assert by_name["boundary"] < by_name["confidence"] - 4
    (found,) = propose(int8_bundle, gated_run, wanted_snr_db=by_name["boundary"] + 2).halves
    assert {unit for unit, _ in found.ranked} == {"stages.stem", "stages.stage1.0", "encoder"}  # what makes it


def test_the_first_step_is_the_half_as_it_is_and_the_proposed_one_is_better(
    half: HalfProposal, int8_bundle: Bundle, gated_run: Path
) -> None:
    facts = int8_bundle.manifest
    assert half.steps[0].bytes == facts.files[facts.halves[EXIT_AND_ENCODE].file].bytes
    (asis,) = debug_bundle(int8_bundle, gated_run, halves=[EXIT_AND_ENCODE], samples=32 + exclusion.HELD_OUT).halves
    assert half.steps[0].snr_db == pytest.approx(asis.worst, abs=1.5)  # on other samples
    assert half.chosen > 0
    assert half.step.worth(NEVER) > half.steps[0].worth(NEVER) + exclusion.LEAST_GAIN_DB
    assert "does not reach 1000 dB" in half.verdict


def test_json_has_no_infinity(proposal: Proposal) -> None:
    facts = json.loads(json.dumps(proposal.to_json(), allow_nan=False))
    (half,) = facts["halves"]
    assert facts["recipe"]["exclude"] == {EXIT_AND_ENCODE: half["steps"][half["chosen"]]["exclude"]}
    assert (facts["ranking_samples"], facts["samples"]) == (32, 256)


def test_the_proposal_is_a_recipe_that_export_takes(
    proposal: Proposal, half: HalfProposal, int8_bundle: Bundle, gated_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "mixed.toml").write_bytes(proposal.to_toml())
    recipe = load_calibration(tmp_path / "mixed.toml")
    assert recipe == proposal.recipe
    assert recipe.exclude == {EXIT_AND_ENCODE: half.step.exclude}
    made = export(gated_run, tmp_path / "bundle", calibration=tmp_path / "mixed.toml", max_drop=100)
    assert made.manifest.calibration["exclude"] == {EXIT_AND_ENCODE: list(half.step.exclude)}

    def floats(bundle: Bundle, key: str) -> set[str]:
        graph = onnx.load(bundle.file(bundle.manifest.halves[key].file)).graph
        makers = {output: node.op_type for node in graph.node for output in node.output}
        kept = [n for n in graph.node if n.op_type in ("Conv", "Gemm") and makers.get(n.input[1]) != "DequantizeLinear"]
        return {module_of(node) for node in kept}

    for unit in half.step.exclude:
        assert any(path.startswith(unit + ".") for path in floats(made, EXIT_AND_ENCODE))
    assert floats(made, FULL) == floats(int8_bundle, FULL) == set()
    (again,) = debug_bundle(made, gated_run, halves=[EXIT_AND_ENCODE], samples=32 + exclusion.HELD_OUT).halves
    assert again.worst == pytest.approx(half.step.snr_db, abs=1.5)
    # What a bundle excludes already is kept, and is no candidate any more.
    more = propose(made, gated_run, wanted_snr_db=again.worst + 1)
    assert set(half.step.exclude) <= set(more.recipe.exclude[EXIT_AND_ENCODE])
    assert not set(half.step.exclude) & {unit for unit, _ in more.halves[0].ranked}


def test_a_half_that_is_good_enough_is_not_compiled(
    int8_bundle: Bundle, gated_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion, "load_compiler", lambda name: pytest.fail("compiled"))
    found = propose(int8_bundle, gated_run, wanted_snr_db=5)
    assert found.is_empty
    assert "reaches 5 dB as it is" in found.halves[0].verdict
    assert found.recipe.exclude == {}


def test_where_nothing_helps_nothing_is_proposed(
    int8_bundle: Bundle, gated_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def compiled(search: Any, key: str, worst: tuple[str, ...], share: float) -> Step:
        seen.append(worst)
        return Step(worst, share, 1000, (Output("logits", Noise(1.0, 1.0), 0.1),))

    monkeypatch.setattr(exclusion._Search, "_compiled", compiled)
    found = propose(int8_bundle, gated_run, wanted_snr_db=NEVER)
    assert [len(worst) for worst in seen] == [1, 2]  # of two units that fit
    assert found.is_empty
    assert "excluding does not help: the best step brings -" in found.halves[0].verdict


def test_what_cannot_be_proposed(int8_bundle: Bundle, toy_bundle: Bundle, gated_run: Path) -> None:
    with pytest.raises(UsageError, match="has no int8 half"):
        propose_exclusions(toy_bundle, gated_run)
    with pytest.raises(TargetError, match="compiled for onnxruntime, and the target openvino-cpu is for openvino"):
        propose(int8_bundle, gated_run, target="openvino-cpu")
    with pytest.raises(UsageError, match="Give fewer --samples"):
        propose(int8_bundle, gated_run, samples=100_000)
    other = int8_bundle.manifest.model_copy(update={"calibration": {"name": "x", "method": "magic"}})
    with pytest.raises(BundleError, match="calibrated by a recipe that this ecc-deploy does not know"):
        propose(Bundle(int8_bundle.path, other), gated_run)


@pytest.mark.parametrize(
    ("exclude", "message"),
    [({"edge": ["stages.stem"]}, "the half 'edge', which is not there"), ({"exit": ["stages.stem7"]}, "stages.stem7")],
)
def test_a_recipe_that_excludes_what_is_not_there(
    gated_run: Path, tmp_path: Path, exclude: dict[str, list[str]], message: str
) -> None:
    ((key, paths),) = exclude.items()
    (tmp_path / "wrong.toml").write_text(f'name = "wrong"\n[exclude]\n{key} = {json.dumps(paths)}\n')
    with pytest.raises(RecipeError, match=message):
        export(gated_run, tmp_path / "bundle", calibration=tmp_path / "wrong.toml")
    assert not (tmp_path / "bundle").exists()
