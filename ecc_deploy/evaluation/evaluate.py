"""Evaluation by the three criteria: performance, computation, communication; with all comparators.

Of the float system of a run directory, or of the compiled halves of a bundle. What a device, a link and a server make
of it in time and wire bytes is measured by ``bench``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.judge import Judge
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.evaluation.result import Evaluation as Evaluation
from ecc_deploy.evaluation.rows import with_best_image
from ecc_deploy.evaluation.subject import Subject, open_subject
from ecc_deploy.payload.choice import LOSSLESS_IMAGE
from ecc_deploy.progress import Progress, silent

DEFAULT_OFFLOAD_RATE = 0.3
IMAGE_CODECS = (
    *LOSSLESS_IMAGE,
    *("jpeg:95", "jpeg:90", "jpeg:50"),
    *("webp:95", "webp:90", "webp:80", "webp:50", "webp:20", "webp:5"),
)
"""What systems are compared with. A rival must be shown at its best, and which quality that is depends on the images:
the least that costs the cloud model nothing is about ``webp:95`` on CIFAR-10, and ``webp:20`` on Fashion-MNIST."""


def evaluate(
    subject: str | Path | Subject,
    *,
    part: str = "test",
    offload_rate: float = DEFAULT_OFFLOAD_RATE,
    gate: str = AUTO,
    fusion: Literal["auto", "off"] = "auto",
    image_codecs: Sequence[str] = IMAGE_CODECS,
    dataset: str | None = None,
    data_folder: str | Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate a run directory, ``shipped:NAME`` or a bundle on ``part`` of its dataset.

    * ``offload_rate``: 0 to 1, that the gates of the rows send on the val part; on ``part`` it may differ a little.
    * ``gate``: a score, or ``auto`` for the one with the best accuracy on val. The curves hold all of them.
    * ``fusion``: ``auto`` answers a sample that is sent by edge and cloud together where both answers are there,
      ``off`` by the cloud alone.
    * ``image_codecs``: of cloud-only and ECC-I, beside ECC-I's own.
    * ``dataset``, ``data_folder``: where they are not what the run's recipe or the bundle says.

    Thresholds, the choice of a score, fusion weights and the choice of a codec come from the val part alone. Random
    offload at the rate of ECC-I and of ECC-D shows what the gate is worth: its accuracy is the expected one.
    Raises :class:`RunError`, :class:`BundleError`, :class:`DataError`, :class:`PayloadError`, :class:`UsageError`.
    """
    if not 0 <= offload_rate <= 1:
        raise UsageError(f"an offload rate lies between 0 and 1, not at {offload_rate}")
    if fusion not in ("auto", "off"):
        raise UsageError(f"fusion is auto or off, not {fusion!r}")
    if isinstance(subject, str | Path):
        subject = open_subject(subject, dataset=dataset, data_folder=data_folder)
    judge = Judge(subject, part, gate=gate, offload_rate=offload_rate, fused=fusion == "auto")
    steps = judge.steps(image_codecs)
    for number, (note, step) in enumerate(steps):
        progress("Evaluate", number, len(steps), note)
        step()
    progress("Evaluate", len(steps), len(steps), "done")
    return Evaluation(
        system=subject.name,
        kind=subject.kind,
        split=subject.split,
        dataset=subject.dataset.name,
        part=part,
        samples=len(judge.test.samples),
        gate=gate,
        fusion=fusion,
        offload_rate=offload_rate,
        raw_bytes=judge.pixels.elements,
        rows=with_best_image(judge.rows),
        curves=tuple(judge.curves),
        recalls=tuple(judge.recalls),
    )
