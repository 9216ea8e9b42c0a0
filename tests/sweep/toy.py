"""A sweep of the tiny system, and what a trial of it would have measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from ecc_deploy.evaluation.curves import RATES
from ecc_deploy.sweep.recipe import Setting, SweepRecipe, parse_sweep
from ecc_deploy.sweep.result import TRIAL_FILE, Figures, Measured, save
from tests import tiny

ADAPTER = {"name": "adapter", "train": ["adapter", "tail"], "epochs": 1, "batch": 250, "learning_rate": 0.05}


def text(sweep: dict[str, Any], **changes: object) -> str:
    """The tiny recipe as TOML, with its tables replaced by ``changes`` and with ``[sweep]``."""
    return tomli_w.dumps({**tiny.FACTS, **changes, "sweep": sweep})


def sweep(table: dict[str, Any], **changes: object) -> SweepRecipe:
    """The same, parsed."""
    return parse_sweep(text(table, **changes), "tiny.toml")


def measured(accuracy: float, size: float = 40.0, edge: float = 0.5) -> Measured:
    """ECC-A by these figures, fused a point better; ECC-D on the straight line between edge and that."""

    def figures(architecture: Any, fused: bool, rate: float, value: float) -> Figures:
        return Figures(
            architecture=architecture,
            fused=fused,
            wanted_rate=rate,
            offload_rate=rate,
            accuracy=value,
            edge_macs=3e6 if fused else 2e6,
            cloud_macs=rate * 5e6,
            payload_bytes=rate * size,
        )

    found = [figures("adaptive", False, 1.0, accuracy), figures("adaptive", True, 1.0, accuracy + 0.01)]
    found += [figures("dynamic", True, rate, edge + rate * (accuracy + 0.01 - edge)) for rate in RATES]
    return Measured(dataset="toy", samples=1000, edge_accuracy=edge, cloud_accuracy=0.9, figures=found)


def pretend(folder: Path, setting: Setting, what: Measured) -> None:
    """Leave what a finished trial leaves, without the training."""
    save(folder / "trials" / setting.key / TRIAL_FILE, what)
