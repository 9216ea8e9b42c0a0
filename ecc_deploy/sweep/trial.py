"""One setting of a sweep: trained, or found trained, and evaluated on the val part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.evaluation.result import Evaluation, Row
from ecc_deploy.progress import Progress
from ecc_deploy.sweep.result import TRIAL_FILE, Figures, Measured, read, save
from ecc_deploy.training.checkpoint import FILE as CHECKPOINT
from ecc_deploy.training.checkpoint import fingerprint
from ecc_deploy.training.recipe import Recipe, load_recipe

Trainer = Callable[[Recipe, Path, Progress], object]
"""Trains a recipe into a run directory, going on from its checkpoint where there is one."""


def find(folder: Path) -> Measured | None:
    """What was measured of the trial in ``folder``, if it is finished."""
    try:
        return read(folder / TRIAL_FILE, Measured)
    except UsageError:
        return None


def run_trial(recipe: Recipe, folder: Path, train: Trainer, progress: Progress) -> Measured:
    """Train ``recipe`` into the run directory ``folder`` and measure it; what is done already is not done again."""
    done = find(folder)
    if done is not None:
        return done
    if not is_trained(folder, recipe):
        train(recipe, folder, progress)
    measured = measure(evaluate(folder, part="val", image_codecs=("raw",), progress=progress))
    save(folder / TRIAL_FILE, measured)
    return measured


def is_trained(folder: Path, recipe: Recipe) -> bool:
    """Whether ``folder`` is the whole run directory of ``recipe``: its metrics are written last."""
    if not (folder / "metrics.json").is_file() or (folder / CHECKPOINT).exists():
        return False
    try:
        return fingerprint(load_recipe(folder / "system.toml")) == fingerprint(recipe)
    except EccError:
        return False


def measure(found: Evaluation) -> Measured:
    """What a sweep keeps of an evaluation on val."""
    figures = [_of_row(row) for row in found.rows if row.architecture == "adaptive"]
    curve = found.curve("dynamic")
    figures += [
        Figures(
            architecture="dynamic",
            fused=curve.fused,
            wanted_rate=wanted,
            offload_rate=rate,
            accuracy=accuracy,
            edge_macs=curve.edge_macs,
            cloud_macs=cloud_macs,
            payload_bytes=size,
        )
        for wanted, rate, accuracy, size, cloud_macs in zip(
            curve.wanted_rate, curve.offload_rate, curve.accuracy, curve.payload_bytes, curve.cloud_macs, strict=True
        )
    ]
    return Measured(
        dataset=found.dataset,
        samples=found.samples,
        edge_accuracy=found.row("edge-only").accuracy,
        cloud_accuracy=found.row("cloud-only/raw").accuracy,
        figures=figures,
    )


def _of_row(row: Row) -> Figures:
    return Figures(
        architecture="adaptive",
        fused=row.fused,
        wanted_rate=1.0,
        offload_rate=row.offload_rate,
        accuracy=row.accuracy,
        edge_macs=row.edge_macs,
        cloud_macs=row.cloud_macs,
        payload_bytes=row.payload_bytes,
    )
