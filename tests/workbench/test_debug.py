"""The int8 halves of an exported bundle beside the float run, for ONNX Runtime."""

import json
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch

from ecc_deploy import data
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import RunError, UsageError
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.training.run import load_run
from ecc_deploy.workbench.debug import DebugResult, debug_bundle


@pytest.fixture(scope="module")
def found(int8_bundle: Bundle, gated_run: Path) -> DebugResult:
    return debug_bundle(int8_bundle, gated_run, samples=40)


def half_of(bundle: Bundle, key: str, **changes: object) -> Bundle:
    """``bundle`` with other facts of one half; the files are not looked at again."""
    halves = dict(bundle.manifest.halves)
    halves[key] = halves[key].model_copy(update=changes)
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"halves": halves}))


def images(count: int) -> np.ndarray:
    facts = data.load("fashion-mnist-sample")
    return facts.normalisation(facts.part("val").images[:count])


def snr_db(wanted: np.ndarray, got: np.ndarray) -> float:
    return float(10 * np.log10((wanted.astype(float) ** 2).sum() / ((wanted.astype(float) - got) ** 2).sum()))


def test_all_int8_halves_with_their_outputs(found: DebugResult, int8_bundle: Bundle) -> None:
    assert [half.key for half in found.halves] == list(int8_bundle.manifest.halves)
    assert {half.key for half in found.halves} == {EXIT, ENCODE, EXIT_AND_ENCODE, FULL, TAIL}
    for half in found.halves:
        listed = int8_bundle.manifest.halves[half.key]
        assert [output.name for output in half.outputs] == [tensor.name for tensor in listed.outputs]
    assert (found.data, found.samples) == ("fashion-mnist-sample val", 40)


def test_outputs_are_those_of_the_runner_against_the_float_system(
    found: DebugResult, int8_bundle: Bundle, gated_run: Path
) -> None:
    system, manifest = load_run(gated_run).system, int8_bundle.manifest
    given = images(40)

    def run(key: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        half = manifest.halves[key]
        with open_runner(int8_bundle.file(half.file), half, threads=1) as runner:
            return runner.run(inputs)

    with torch.no_grad():
        logits = system.cloud(torch.tensor(given)).numpy()
    (full,) = [half for half in found.halves if half.key == FULL]
    got = run(FULL, image=given)["logits"]
    assert full.outputs[0].noise.snr_db == pytest.approx(snr_db(logits, got), abs=1e-3)
    assert full.outputs[0].equal == (got.argmax(1) == logits.argmax(1)).mean()

    codes = run(ENCODE, image=given)["boundary"]
    with torch.no_grad():
        feature = system.adapter.encoder(system.edge.through("stage1")(torch.tensor(given)))
        exact = system.adapter.quantizer.codes(feature).numpy()
    (encode,) = [half for half in found.halves if half.key == ENCODE]
    assert encode.outputs[0].equal == pytest.approx((codes == exact).mean())
    assert encode.outputs[0].noise.snr_db == pytest.approx(snr_db(exact, codes), abs=1e-3)

    step = system.adapter.quantizer.step.item()
    with torch.no_grad():  # the float tail on what the compiled edge half sends
        wanted = system.tail(system.adapter.decoder(torch.tensor(codes.astype(np.float32) * np.float32(step)))).numpy()
    (tail,) = [half for half in found.halves if half.key == TAIL]
    got = run(TAIL, boundary=codes)["logits"]
    assert tail.outputs[0].noise.snr_db == pytest.approx(snr_db(wanted, got), abs=1e-3)


def test_layers_are_sorted_by_what_they_add(found: DebugResult) -> None:
    for half in found.halves:
        own = [layer.own.order for layer in half.layers]
        assert own == sorted(own)
        assert len(own) > 4
        by_path = {layer.module: layer for layer in half.layers}
        ends = {EXIT: "rest.head.2", FULL: "stages.head.2", TAIL: "tail.head.2", ENCODE: "encoder.2"}
        if half.key in ends:  # the module behind an output is a layer, too
            assert by_path[ends[half.key]].total.order == pytest.approx(half.outputs[0].noise.order, abs=3)
    (edge,) = [half for half in found.halves if half.key == EXIT_AND_ENCODE]
    gate = [layer for layer in edge.layers if layer.module.startswith("gate.")]
    assert gate
    assert all(layer.own.order > 80 for layer in gate)  # it stays float


def test_a_layer_knows_what_it_is(found: DebugResult) -> None:
    (full,) = [half for half in found.halves if half.key == FULL]
    by_path = {layer.module: layer for layer in full.layers}
    assert (by_path["stages.stem.2"].kind, by_path["stages.stem.2"].shape) == ("ReLU", (8, 28, 28))
    assert by_path["stages.head.2"].shape == (10,)
    first = by_path["stages.stem.2"]
    assert first.total.order == pytest.approx(first.own.order, abs=0.01)  # nothing before it adds any


def test_only_the_halves_that_are_asked_for(int8_bundle: Bundle, gated_run: Path) -> None:
    found = debug_bundle(int8_bundle, gated_run, halves=[TAIL, EXIT], samples=8)
    assert [half.key for half in found.halves] == [EXIT, TAIL]


def test_json_has_no_infinity(found: DebugResult) -> None:
    facts = json.loads(json.dumps(found.to_json(), allow_nan=False))
    layers = [layer for half in facts["halves"] for layer in half["layers"]]
    assert {"module", "type", "shape", "snr_db", "own_snr_db", "own_noise_free", "only_noise"} <= set(layers[0])
    assert max(layer.own.order for half in found.halves for layer in half.layers) <= inf


def test_a_float_bundle_has_nothing_to_debug(toy_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no int8 half, so there is no quantization to debug") as caught:
        debug_bundle(toy_bundle, tmp_path)
    assert "--precision int8" in caught.value.hint


def test_halves_that_cannot_be_debugged(int8_bundle: Bundle, gated_run: Path) -> None:
    with pytest.raises(UsageError, match="has no half 'edge'") as caught:
        debug_bundle(int8_bundle, gated_run, halves=["edge"])
    assert "exit-and-encode" in caught.value.hint
    with pytest.raises(UsageError, match="the half full is fp32"):
        debug_bundle(half_of(int8_bundle, FULL, precision="fp32"), gated_run, halves=[FULL])
    with pytest.raises(UsageError, match="AOTInductor cannot show what is inside its files"):
        debug_bundle(half_of(int8_bundle, FULL, backend="aotinductor"), gated_run, halves=[FULL])


def test_another_run(int8_bundle: Bundle, gated_run: Path, tiny_run: Path) -> None:
    with pytest.raises(RunError, match=r"was not exported from .*: its half exit is another one"):
        debug_bundle(int8_bundle, tiny_run)  # without the gate
    ((name, boundary),) = int8_bundle.manifest.boundaries.items()
    other = {name: boundary.model_copy(update={"scale": 2 * (boundary.scale or 1)})}
    changed = Bundle(int8_bundle.path, int8_bundle.manifest.model_copy(update={"boundaries": other}))
    with pytest.raises(RunError, match="its boundary has another scale"):
        debug_bundle(changed, gated_run)


def test_more_samples_than_there_are(int8_bundle: Bundle, gated_run: Path) -> None:
    val = len(data.load("fashion-mnist-sample").part("val"))
    found = debug_bundle(int8_bundle, gated_run, halves=[EXIT], samples=10 * val)
    assert found.samples == val
