"""The systems that ship: small enough, with a gap worth closing, and as accurate as their model cards say."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ecc_deploy import data, resources
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.partition.cost import macs
from ecc_deploy.training.losses import fused_log_probabilities
from ecc_deploy.training.paths import path_logits
from ecc_deploy.training.run import Run, load_run


@dataclass(frozen=True)
class Shipped:
    """``cloud_factor``: how many times the edge's MACs the cloud's are, at least; ``gap``: its lead, at least."""

    name: str
    most_bytes: int
    cloud_factor: float
    gap: float
    dataset: str
    part: str


SYSTEMS = (
    Shipped("fashion-mnist", 6_000_000, 5, 0.02, "fashion-mnist-sample", "test"),
    Shipped("cifar10", 10_000_000, 13, 0.04, "cifar10", "val"),
)


@pytest.fixture(params=SYSTEMS, ids=lambda shipped: shipped.name)
def shipped(request: pytest.FixtureRequest) -> Shipped:
    found: Shipped = request.param
    return found


@pytest.fixture
def folder(shipped: Shipped, request: pytest.FixtureRequest) -> Path | None:
    """Of the data that the figures of the model card are checked on."""
    return request.getfixturevalue("cifar10_folder") if shipped.dataset == "cifar10" else None


def load(shipped: Shipped, folder: Path | None = None) -> Run:
    return load_run(f"shipped:{shipped.name}", data_folder=folder)


def test_no_other_systems_ship() -> None:
    assert {path.name for path in resources.shipped_weights("").iterdir()} == {shipped.name for shipped in SYSTEMS}


def test_its_size(shipped: Shipped) -> None:
    files = [path for path in resources.shipped_weights(shipped.name).rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".toml", ".json", ".md"}
    assert sum(path.stat().st_size for path in files) <= shipped.most_bytes


def test_the_edge_model_is_a_small_one(shipped: Shipped) -> None:
    system = load(shipped).system
    assert macs(system.edge, system.input_shape) * shipped.cloud_factor <= macs(system.cloud, system.input_shape)


def test_accuracies_are_those_of_the_model_card(shipped: Shipped, folder: Path | None) -> None:
    """On a part that is quick to go through; the others stand beside it and were measured in the same way."""
    run = load(shipped, folder)
    source = data.load(shipped.dataset, folder)
    samples = source.part(shipped.part)
    images = torch.from_numpy(source.normalisation(samples.images))
    logits = path_logits(run.system, images, ("edge", "cloud", "adapted"))
    logits["fused"] = fused_log_probabilities(logits["edge"], logits["adapted"])
    found = {answer: accuracy(out.numpy(), samples.labels) for answer, out in logits.items()}
    card = (Path(run.path) / "README.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith(f"| {shipped.dataset} {shipped.part} ("))
    stated = [float(cell) / 100 for cell in row.split("|")[2:6]]
    # Another CPU sums floats in another order, so a sample on the edge of a decision may tip.
    assert stated == pytest.approx([found[answer] for answer in ("edge", "cloud", "adapted", "fused")], abs=0.002)
    assert found["cloud"] - found["edge"] >= shipped.gap
    assert found["fused"] > found["edge"]
