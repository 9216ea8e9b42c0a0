"""A tiny system, really trained in a few seconds, for tests of everything that needs a run directory."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from ecc_deploy.training.loop import train
from ecc_deploy.training.recipe import Recipe, parse_recipe

FACTS: dict = {
    "name": "tiny",
    "seed": 3,
    "data": {"name": "fashion-mnist-sample"},
    "edge": {"model": "resnet", "arguments": {"widths": [4, 8], "blocks": 1}},
    "cloud": {"model": "resnet", "arguments": {"widths": [8, 16, 16], "blocks": 1}},
    "split": {"edge_after": "stage1", "cloud_from": "stage3"},
    "adapter": {"channels": 4, "encoder_stride": 2, "bits": 4, "decoder_blocks": 0},
    "phases": [
        {"name": "edge", "train": ["edge"], "epochs": 2, "batch": 32, "learning_rate": 0.1},
        {"name": "cloud", "train": ["cloud"], "epochs": 2, "batch": 32, "learning_rate": 0.1},
        {
            "name": "adapter",
            "train": ["adapter", "tail"],
            "epochs": 2,
            "batch": 32,
            "learning_rate": 0.1,
            "loss": {"cross_entropy": 1.0, "distillation": 0.5},
        },
    ],
}


def recipe(**changes: object) -> Recipe:
    """The tiny recipe, with some of its tables replaced."""
    return parse_recipe(tomli_w.dumps({**FACTS, **changes}), "tiny.toml")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of the tiny system."""
    path = tmp_path_factory.mktemp("tiny") / "run"
    train(recipe(), path, threads=1)
    return path


@pytest.fixture(scope="session")
def gated_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny system with a trained gate."""
    path = tmp_path_factory.mktemp("gated") / "run"
    phase = {"name": "gate", "train": ["gate"], "epochs": 3, "batch": 50, "recall": {"offload_rate": 0.3}}
    train(recipe(init=str(tiny_run), phases=[phase]), path, threads=1)
    return path
