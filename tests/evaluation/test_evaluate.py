import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ecc_deploy import data
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import DataError, PayloadError, RunError, UsageError
from ecc_deploy.evaluation.compiled_bundle import CompiledBundle
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.evaluation.result import Evaluation
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.choice import through
from ecc_deploy.runtime.gate import confidence
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run, save_run
from tests import reference, tiny
from tests.evaluation.toy_dataset import ToyDataset

ONE_SAMPLE = 1.5e-3  # a batch of another size may round another way
CODECS = ("raw", "png", "webp:5")


@pytest.fixture(scope="module")
def result(tiny_run: Path) -> Evaluation:
    return evaluate(tiny_run, offload_rate=0.4, image_codecs=CODECS)


@pytest.fixture(scope="module")
def alone(tiny_run: Path) -> Evaluation:
    """Without fusion, with one score."""
    return evaluate(tiny_run, offload_rate=0.4, gate="margin", fusion="off", image_codecs=CODECS)


def test_rows_are_those_of_the_system(alone: Evaluation, tiny_run: Path) -> None:
    """Accuracy, MACs and bytes against what the modules themselves say."""
    system = load_run(tiny_run).system
    facts = data.load("fashion-mnist-sample")
    test = facts.part("test")
    with torch.no_grad():
        x = torch.from_numpy(facts.normalisation(test.images))
        edge, adapted = (out.argmax(1).numpy() for out in system.edge_and_adapted(x))
        cloud = system.cloud(x).argmax(1).numpy()
    row = alone.row
    assert row("edge-only").accuracy == pytest.approx((edge == test.labels).mean())
    assert row("cloud-only/raw").accuracy == pytest.approx((cloud == test.labels).mean())
    assert row("adaptive").accuracy == pytest.approx((adapted == test.labels).mean())
    assert row("cloud-only/png").accuracy == row("cloud-only/raw").accuracy
    assert row("cloud-only/raw").payload_bytes == 28 * 28
    assert row("cloud-only/webp:5").bytes_of_raw == row("cloud-only/webp:5").payload_bytes / 784 < 0.5
    # One 3x3 convolution 1 -> 8 at 28x28, then the blocks: by hand for the edge (widths 4 and 8, one block each).
    stem = 9 * 1 * 4 * 28**2
    stage1 = 2 * 9 * 4 * 4 * 28**2
    stage2 = (9 * 4 * 8 + 9 * 8 * 8 + 4 * 8) * 14**2
    assert row("edge-only").edge_macs == stem + stage1 + stage2 + 8 * 10
    assert row("adaptive").payload_bytes <= 4 * 14 * 14 / 2  # 4 channels of 4 bits
    assert row("dynamic").cloud_macs == pytest.approx(row("dynamic").offload_rate * row("adaptive").cloud_macs)
    assert row("dynamic").of_cloud == row("dynamic").accuracy / row("cloud-only/raw").accuracy


def test_a_cascade_by_hand(alone: Evaluation, tiny_run: Path) -> None:
    """ECC-I with a lossy codec: threshold from val, cloud answers to the images as delivered, bytes of those sent."""
    system, facts = load_run(tiny_run).system, data.load("fashion-mnist-sample")
    test, codec = facts.part("test"), make_codec("webp:5", TensorSpec("uint8", (28, 28, 1)))

    def logits(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(facts.normalisation(images))).numpy()

    val_sure = np.sort(confidence(logits(system.edge, facts.part("val").images), "margin"))
    threshold = val_sure[399:401].mean()  # 400 of 1,000 lie below
    edge = logits(system.edge, test.images)
    sent = confidence(edge, "margin") < threshold
    cloud = logits(system.cloud, through(codec, test.images))
    row = alone.row("independent/webp:5")
    assert row.offload_rate == pytest.approx(sent.mean(), abs=ONE_SAMPLE)
    right = np.where(sent, cloud.argmax(1), edge.argmax(1)) == test.labels
    assert row.accuracy == pytest.approx(right.mean(), abs=ONE_SAMPLE)
    sizes = np.array([len(codec.encode(image)) for image in test.images])
    assert row.payload_bytes == pytest.approx((sizes * sent).mean(), rel=0.01)
    assert row.gate == "margin"


def test_gate_beats_chance_and_chance_is_between(result: Evaluation) -> None:
    for name in ("independent", "dynamic"):
        row, chance = result.row(name), result.row(f"{name}, at random")
        assert row.accuracy > chance.accuracy
        assert chance.offload_rate == row.offload_rate
        ends = result.curve(name).accuracy[0], result.curve(name).accuracy[-1]
        assert chance.accuracy == pytest.approx((1 - row.offload_rate) * ends[0] + row.offload_rate * ends[1])


def test_curves_end_where_the_rows_are(result: Evaluation, alone: Evaluation) -> None:
    for found, everything in ((result, "adaptive, fused"), (alone, "adaptive")):
        dynamic = found.curve("dynamic")
        assert dynamic.accuracy[0] == found.row("edge-only").accuracy
        assert dynamic.accuracy[-1] == found.row(everything).accuracy
        assert dynamic.payload_bytes[-1] == pytest.approx(found.row(everything).payload_bytes)
        assert dynamic.cloud_macs[-1] == found.row(everything).cloud_macs
        place = dynamic.wanted_rate.index(0.4)
        assert dynamic.accuracy[place] == found.row("dynamic").accuracy
        assert dynamic.payload_bytes[place] == found.row("dynamic").payload_bytes
    assert alone.curve("independent/webp:5").accuracy[-1] == alone.row("cloud-only/webp:5").accuracy
    assert not any(row.fused for row in alone.rows)
    gates = ["auto", "max-softmax", "entropy", "margin"]
    assert [curve.gate for curve in result.curves if curve.name == "independent/webp:5"] == gates
    assert {recall.gate for recall in result.recalls} == set(gates[1:])
    assert all(recall.area > 0.5 for recall in result.recalls)


def test_every_row_is_compared_with_the_best_image_codec_that_is_as_accurate(result: Evaluation) -> None:
    images = {row.codec: row for row in result.rows if row.architecture == "cloud-only"}
    for row in result.rows:
        equal = [image for image in images.values() if image.accuracy >= row.accuracy - 0.005 - 1e-9]
        assert (row.best_image is None) == (not equal)
        if row.best_image is not None:
            best = images[row.best_image]
            assert best.payload_bytes == min(image.payload_bytes for image in equal)
            assert row.bytes_of_best_image == row.payload_bytes / best.payload_bytes


def test_json_is_plain_and_whole(result: Evaluation) -> None:
    facts = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (facts["part"], facts["samples"], facts["kind"], facts["raw_bytes"]) == ("test", 1000, "float", 784)
    assert [row["name"] for row in facts["rows"]][:2] == ["edge-only", "cloud-only/raw"]
    assert {"accuracy", "payload_bytes", "cloud_macs", "offload_rate"} <= set(facts["curves"][0])
    assert {finding["kind"] for finding in facts["findings"]} <= {"win", "loss", "note"}


def test_a_learned_gate(tiny_run: Path, tmp_path: Path) -> None:
    run = load_run(tiny_run)
    torch.manual_seed(1)
    for parameter in run.system.gate.parameters():
        torch.nn.init.normal_(parameter)
    save_run(tmp_path / "run", run.recipe, run.system, run.parts | {"gate"}, {})
    found = evaluate(tmp_path / "run", gate="learned", offload_rate=0.2, image_codecs=("raw",), fusion="off")
    facts, system = data.load("fashion-mnist-sample"), run.system.eval()
    with torch.no_grad():
        x, v = (torch.from_numpy(facts.normalisation(facts.part(part).images)) for part in ("test", "val"))
        stages, rest = system.edge.through("stage1"), system.edge.after("stage1")
        sure, val_sure = (system.gate(rest(stages(images)), stages(images))[:, 0].numpy() for images in (x, v))
    row = found.row("dynamic")
    assert row.gate == "learned"
    assert row.offload_rate == pytest.approx((sure < np.sort(val_sure)[199:201].mean()).mean(), abs=ONE_SAMPLE)
    assert "learned" in {recall.gate for recall in found.recalls}


def test_a_bundle_by_hand(toy_bundle: Bundle) -> None:
    dataset = ToyDataset()
    found = evaluate(CompiledBundle(toy_bundle, dataset, threads=1), offload_rate=0.5, image_codecs=("raw", "webp:5"))
    test = dataset.part("test")
    for name, logits in {
        "edge-only": reference.edge_logits(test.images),
        "cloud-only/raw": reference.cloud_logits(test.images),
        "adaptive": reference.tail_logits(test.images),
    }.items():
        assert found.row(name).accuracy == (logits.argmax(1) == test.labels).mean()
    assert (found.kind, found.system, found.split) == ("compiled", "toy", "toy")
    assert found.row("adaptive").payload_bytes == 8  # 16 codes of 4 bits
    assert found.row("adaptive, fused").edge_macs == 320
    assert found.row("independent").codec == "png"


def test_without_an_adapter_there_is_the_cascade_alone(tiny_run: Path, tmp_path: Path) -> None:
    run = load_run(tiny_run)
    save_run(tmp_path / "run", run.recipe, run.system, frozenset({"edge", "cloud"}), {})
    found = evaluate(tmp_path / "run", part="val", image_codecs=("png",), fusion="off")
    names = ["edge-only", "cloud-only/png", "independent", "independent, at random", "independent/png"]
    assert [row.name for row in found.rows] == names
    assert found.to_json()["findings"] == []


def test_mistakes(tiny_run: Path, tmp_path: Path) -> None:
    phase = {"name": "edge", "train": ["edge"], "epochs": 1, "batch": 1000}
    train(tiny.recipe(phases=[phase]), tmp_path / "run", threads=1)
    with pytest.raises(RunError, match="no trained cloud"):
        evaluate(tmp_path / "run")
    with pytest.raises(UsageError, match="no trained gate"):
        evaluate(tiny_run, gate="learned")
    with pytest.raises(UsageError, match="between 0 and 1"):
        evaluate(tiny_run, offload_rate=1.2)
    with pytest.raises(UsageError, match="auto or off"):
        evaluate(tiny_run, fusion="on")
    with pytest.raises(DataError, match="no part 'tests'"):
        evaluate(tiny_run, part="tests")
    with pytest.raises(PayloadError, match="no codec named 'gif'"):
        evaluate(tiny_run, image_codecs=("gif",))
