"""``ecc-deploy export``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecc_deploy.cli import checks, export_all, export_serving, terminal
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.bundle import Bundle


def export(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="Run directory, or shipped:NAME; with --pick a sweep; with --serving a bundle."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="BUNDLE", help="Bundle to write, an older one is replaced; or the folder for all targets."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", help="Device of the edge half: name or path of a target. Default: onnxruntime-cpu."),
    ] = None,
    all_targets: Annotated[
        bool, typer.Option("--all-targets", help="For every target that ships, into FOLDER/TARGET-PRECISION.")
    ] = False,
    cloud_target: Annotated[
        str, typer.Option("--cloud", help="Device of the cloud half: name or path of a target.")
    ] = "onnxruntime-cpu",
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            help="Of both halves: int8, fp16, bf16 or fp32. Default: the target's. Repeatable with --all-targets.",
        ),
    ] = None,
    cloud_precision: Annotated[
        str | None,
        typer.Option("--cloud-precision", help="Of the cloud half, where it is another. Default: the same."),
    ] = None,
    calibration: Annotated[
        str, typer.Option("--calibration", help="How int8 ranges are found: name or path of a calibration recipe.")
    ] = "minmax",
    gate: Annotated[
        str,
        typer.Option(
            "--gate", help="Score of the gates: max-softmax, entropy, margin or learned; auto: the best on val."
        ),
    ] = "auto",
    offload_rate: Annotated[
        float | None,
        typer.Option("--offload-rate", min=0, max=1, help="Share of samples that the gates send. Default: 0.3."),
    ] = None,
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            "--min-accuracy", min=0, max=1, help="Instead of a rate: accuracy to reach, with the fewest samples sent."
        ),
    ] = None,
    fusion: Annotated[
        str,
        typer.Option(
            "--fusion", help="auto: edge and cloud answer together what is sent; off: the cloud answers it alone."
        ),
    ] = "auto",
    codec: Annotated[
        str, typer.Option("--codec", help="Codec of the boundary, such as int4+zstd; auto: the smallest payload.")
    ] = "auto",
    image_codec: Annotated[
        str, typer.Option("--image-codec", help="Codec of inputs that are sent, such as png; auto: smallest lossless.")
    ] = "auto",
    max_drop: Annotated[
        float, typer.Option("--max-drop", min=0, max=100, help="Percentage points that compiling may cost.")
    ] = 1.0,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME", help="To calibrate on: a name, or package.module:factory. Default: the run's."
        ),
    ] = None,
    data_folder: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Folder of the dataset. Default: the run's.")
    ] = None,
    constraints: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="CONSTRAINTS",
            help="Of a sweep: the most accurate point within 'bytes<=64, top1>=93'. Metrics: top1 (percent), bytes, "
            "cloud_macs, edge_macs, offload_rate.",
        ),
    ] = None,
    serving: Annotated[
        str | None,
        typer.Option("--serving", help="Of a bundle: write what triton, kserve or ray needs to serve it, into --out."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="With --serving triton: onnxruntime, Triton's own, or python, in a Python model."
        ),
    ] = "onnxruntime",
    image: Annotated[
        str | None, typer.Option("--image", help="With --serving triton or kserve: the container that serves.")
    ] = None,
    storage_uri: Annotated[
        str | None,
        typer.Option("--storage-uri", help="With --serving triton or kserve: where KServe finds what is written."),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")] = 1,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Take halves that were compiled before from the user's cache.")
    ] = True,
    restart: Annotated[
        bool, typer.Option("--restart", help="With --all-targets: make bundles again that are there and unchanged.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON instead of a table.")] = False,
) -> None:
    """Cut, quantize and compile a run; --serving: for other servers.

    With --all-targets, into one for every target. What that costs in accuracy is measured on the val part of the data;
    above --max-drop nothing is written.
    """
    if export_serving.wanted(context):
        export_serving.run(
            run, out, serving, engine=engine, image=image, storage_uri=storage_uri, threads=threads, as_json=as_json
        )
        return
    if offload_rate is not None and min_accuracy is not None:
        raise UsageError("--offload-rate and --min-accuracy exclude each other", "Give one of them, or none.")
    if constraints is not None and (offload_rate is not None or min_accuracy is not None):
        raise UsageError("--pick chooses the offload rate too", "Leave --offload-rate and --min-accuracy out.")
    precisions = precision or []
    if all_targets:
        _check_all_targets(target, cloud_precision)
    elif restart or len(precisions) > 1:
        what = "--restart" if restart else "more than one --precision"
        raise UsageError(f"{what} belongs to --all-targets", "One bundle is always made anew, in one precision.")
    checks.output_folder(out)
    import ecc_deploy as ecc

    if constraints is not None:
        sweep = ecc.load_sweep(run)
        point = ecc.pick_point(sweep, constraints)
        terminal.note(f"Picked {sweep.describe(point)}")
        run = str(Path(run) / sweep.trial(point.trial).run)
        offload_rate = point.wanted_rate if point.architecture == "dynamic" else None
    options: dict[str, Any] = {
        "cloud_target": cloud_target,
        "calibration": calibration,
        "gate": gate,
        "offload_rate": offload_rate,
        "min_accuracy": min_accuracy,
        "fusion": fusion,
        "codec": codec,
        "image_codec": image_codec,
        "max_drop": max_drop,
        "dataset": dataset,
        "data_folder": data_folder,
        "threads": threads,
        "cache": cache,
    }
    if all_targets:
        export_all.run(run, out, as_json=as_json, precisions=precisions, restart=restart, **options)
        return
    edge = target or "onnxruntime-cpu"
    wanted = precisions[0] if precisions else ecc.load_target(edge).default_precision
    if cloud_precision is None and not precisions:
        from ecc_deploy.export.choices import precision_beside

        cloud_precision = precision_beside(ecc.load_target(cloud_target), ecc.load_target(edge).default_precision)
    with shown_progress() as progress:
        bundle = ecc.export_bundle(
            run,
            out,
            target=edge,
            precision=wanted,
            cloud_precision=cloud_precision,
            progress=progress,
            **options,
        )
    if as_json:
        facts = bundle.manifest.model_dump(mode="json")
        terminal.show_json({"path": str(bundle.path), "pair_id": bundle.manifest.pair_id, "manifest": facts})
    else:
        terminal.show(_table(bundle), f"Next: ecc-deploy bench {out}")


def _check_all_targets(target: str | None, cloud_precision: str | None) -> None:
    if target is not None:
        raise UsageError("--target and --all-targets exclude each other", "Leave one of them out.")
    if cloud_precision is not None:
        raise UsageError(
            "--cloud-precision and --all-targets exclude each other",
            "Beside each half the other has the same precision, or the next more exact one that its target has.",
        )


def _table(bundle: Bundle) -> Table:
    from rich.table import Table

    from ecc_deploy.report import formats

    manifest = bundle.manifest
    guards = [d.guard for d in manifest.deployments.values() if d.guard is not None]
    judged = f"accuracy on {guards[0].data}, {guards[0].samples:,} samples" if guards else "no accuracy measured"
    table = Table(
        title=f"{bundle.path}: {manifest.name}, pair {manifest.pair_id[:12]}, {judged}",
        title_justify="left",
    )
    for heading in ("Deployment", "Halves", "Codec", "Gate"):
        table.add_column(heading)
    for heading in ("Edge weight", "Float", "Compiled", "Drop, points"):
        table.add_column(heading, justify="right")
    for name, item in manifest.deployments.items():
        halves = [f"{key} ({manifest.halves[key].precision})" for key in (item.edge, item.cloud) if key]
        gate = f"{item.gate.score} ≥ {item.gate.threshold:.4f}, ρ {item.gate.offload_rate:.2f}" if item.gate else "—"
        guard = item.guard
        table.add_row(
            name,
            " → ".join(halves),
            item.codec or "—",
            gate,
            formats.fixed(item.fusion.edge_weight if item.fusion else None, 2),
            formats.percent(guard.float_accuracy if guard else None),
            formats.percent(guard.compiled_accuracy if guard else None),
            formats.fixed(guard.drop_points if guard else None, 2),
        )
    return table
