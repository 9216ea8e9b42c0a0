"""``ecc-deploy evaluate``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import checks, terminal, trust
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from ecc_deploy.evaluation.result import Evaluation
    from ecc_deploy.progress import Progress

_SIGNS = {"win": "+", "loss": "−", "note": "·"}


def evaluate(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|BUNDLE...",
            help="Run directory, shipped:NAME, or bundle. Several: one recipe with different seeds.",
        ),
    ],
    part: Annotated[str, typer.Option("--part", help="Part of the dataset: train, val or test.")] = "test",
    offload_rate: Annotated[
        float, typer.Option("--offload-rate", min=0, max=1, help="Share of samples that the gates send, 0 to 1.")
    ] = 0.3,
    gate: Annotated[
        str,
        typer.Option(
            "--gate", help="Score of the gates: max-softmax, entropy, margin or learned; auto: the best on val."
        ),
    ] = "auto",
    fusion: Annotated[
        str,
        typer.Option(
            "--fusion", help="auto: edge and cloud answer together what is sent; off: the cloud answers it alone."
        ),
    ] = "auto",
    image_codecs: Annotated[
        str | None,
        typer.Option(
            "--image-codecs",
            metavar="CODEC,...",
            help="Codecs of cloud-only and ECC-I, such as raw,png,webp:50. Default: twelve; each lossy one takes time.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME", help="Dataset instead of its own: a name, or package.module:factory."
        ),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Folder of the dataset. Default: the run's, or the dataset's own place."
        ),
    ] = None,
    verify_key: trust.VerifyKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows and curves as JSON instead of a table.")] = False,
    plots: Annotated[
        Path | None, typer.Option("--plots", metavar="FILE", help="Also write the curves to this HTML file.")
    ] = None,
) -> None:
    """Evaluate a trained system, or its compiled halves.

    Accuracy, computation (MACs) and communication (bytes) of every architecture, at one offload rate and over all of
    them, and of what it competes with: edge-only, cloud-only and ECC-I with several image codecs, random offload.
    """
    trust.only(verify_key)
    if len(set(systems)) < len(systems):
        raise UsageError("a system is named twice, and a seed counts once", "Name each run or bundle once.")
    if plots is not None:
        checks.output_file(plots)
        from ecc_deploy.report.html import check_installed

        check_installed()
    options: dict = {
        "part": part,
        "offload_rate": offload_rate,
        "gate": gate,
        "fusion": fusion,
        "dataset": dataset,
        "data_folder": data_folder,
    }
    if image_codecs is not None:
        options["image_codecs"] = [codec.strip() for codec in image_codecs.split(",")]
    with shown_progress() as progress:
        runs = [_one(system, len(systems) > 1, progress, options) for system in systems]

    from ecc_deploy.evaluation.findings import findings
    from ecc_deploy.evaluation.seeds import Seeds, over_seeds
    from ecc_deploy.report.evaluations import evaluation_table, heading, write_curves

    result = over_seeds(runs) if len(runs) > 1 else runs[0]
    if plots is not None:
        terminal.note(f"Curves: {write_curves(result, plots)}")
    if as_json:
        terminal.show_json(result.to_json())
        return
    mean = result.mean if isinstance(result, Seeds) else result
    terminal.show(
        heading(result),
        evaluation_table(result, terminal.console().width),
        *[f"{_SIGNS[finding.kind]} {finding.text}" for finding in findings(mean)],
    )


def _one(system: str, is_named: bool, progress: Progress, options: dict) -> Evaluation:
    import ecc_deploy as ecc

    def shown(what: str, done: int, total: int, note: str = "") -> None:
        progress(f"{what} {system}" if is_named else what, done, total, note)

    return ecc.evaluate(system, progress=shown, **options)
