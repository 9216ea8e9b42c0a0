"""The systems that ship: small enough, really small at the edge, and with a gap worth closing."""

from pathlib import Path

import pytest
import torch

from ecc_deploy import data, resources
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.partition.cost import macs
from ecc_deploy.training.paths import path_logits
from ecc_deploy.training.run import Run, load_run


@pytest.fixture(scope="module")
def run() -> Run:
    return load_run("shipped:fashion-mnist")


def test_all_of_them_take_at_most_six_megabytes() -> None:
    files = [path for path in resources.shipped_weights("").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".toml", ".json", ".md"}
    assert sum(path.stat().st_size for path in files) <= 6_000_000


def test_the_edge_model_is_a_small_one(run: Run) -> None:
    shape = run.system.input_shape
    assert macs(run.system.edge, shape) * 5 <= macs(run.system.cloud, shape)


def test_accuracies_are_those_of_the_model_card(run: Run) -> None:
    """On the embedded test part; the figures on the full one stand beside them and were measured in the same way."""
    test = data.load("fashion-mnist-sample").part("test")
    images = torch.from_numpy(data.load("fashion-mnist-sample").normalisation(test.images))
    logits = path_logits(run.system, images, ("edge", "cloud", "adapted"))
    found = {path: accuracy(out.numpy(), test.labels) for path, out in logits.items()}
    card = (Path(run.path) / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith("| fashion-mnist-sample test"))
    stated = [float(cell) / 100 for cell in row.split("|")[2:5]]
    # Another CPU sums floats in another order, so a sample on the edge of a decision may tip.
    assert stated == pytest.approx([found["edge"], found["cloud"], found["adapted"]], abs=0.002)
    assert found["cloud"] - found["edge"] >= 0.02
    assert found["adapted"] > found["edge"]
