from pathlib import Path

import numpy as np
import pytest
import torch

from ecc_deploy import data
from ecc_deploy.errors import RunError
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from tests import tiny


def test_rows_are_those_of_the_system(tiny_run: Path) -> None:
    """Accuracy, MACs and bytes against what the modules themselves say."""
    result = evaluate(tiny_run, offload_rate=0.4, image_codecs=("raw", "png", "jpeg:20"))
    system = load_run(tiny_run).system
    facts = data.load("fashion-mnist-sample")
    test = facts.part("test")
    with torch.no_grad():
        x = torch.from_numpy(facts.normalisation(test.images))
        edge, adapted = (out.argmax(1).numpy() for out in system.edge_and_adapted(x))
        cloud = system.cloud(x).argmax(1).numpy()
    assert result.row("edge-only").accuracy == pytest.approx((edge == test.labels).mean())
    assert result.row("cloud-only/raw").accuracy == pytest.approx((cloud == test.labels).mean())
    assert result.row("adaptive").accuracy == pytest.approx((adapted == test.labels).mean())
    assert result.row("cloud-only/png").accuracy == result.row("cloud-only/raw").accuracy
    assert result.row("cloud-only/raw").payload_bytes == 28 * 28
    assert result.row("cloud-only/jpeg:20").payload_bytes < result.row("cloud-only/raw").payload_bytes
    # One 3x3 convolution 1 -> 8 at 28x28, then the blocks: by hand for the edge (widths 4 and 8, one block each).
    stem = 9 * 1 * 4 * 28**2
    stage1 = 2 * 9 * 4 * 4 * 28**2
    stage2 = (9 * 4 * 8 + 9 * 8 * 8 + 4 * 8) * 14**2
    assert result.row("edge-only").edge_macs == stem + stage1 + stage2 + 8 * 10
    assert result.row("adaptive").payload_bytes <= 4 * 14 * 14 / 2  # 4 channels of 4 bits
    dynamic = result.row("dynamic")
    assert 0.25 < dynamic.offload_rate < 0.55
    assert dynamic.cloud_macs == pytest.approx(dynamic.offload_rate * result.row("adaptive").cloud_macs)
    assert result.row("dynamic, at random").offload_rate == dynamic.offload_rate


def test_gate_beats_chance(tiny_run: Path) -> None:
    result = evaluate(tiny_run, offload_rate=0.4, image_codecs=("raw",))
    assert result.row("independent").accuracy > result.row("independent, at random").accuracy


def test_json_is_plain(tiny_run: Path) -> None:
    facts = evaluate(tiny_run, part="val", image_codecs=("raw",)).to_json()
    assert facts["samples"] == 1000
    assert facts["part"] == "val"
    assert [row["name"] for row in facts["rows"]][:2] == ["edge-only", "cloud-only/raw"]
    assert all(np.isfinite(row["accuracy"]) for row in facts["rows"])


def test_a_run_without_a_cloud_is_an_error(tmp_path: Path) -> None:
    phase = {"name": "edge", "train": ["edge"], "epochs": 1, "batch": 1000}
    train(tiny.recipe(phases=[phase]), tmp_path / "run", threads=1)
    with pytest.raises(RunError, match="no trained cloud"):
        evaluate(tmp_path / "run")
