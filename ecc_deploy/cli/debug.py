"""``ecc-deploy debug``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import checks, terminal
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from ecc_deploy.workbench.debug import HalfNoise, Output
    from ecc_deploy.workbench.noise import Noise
    from ecc_deploy.workbench.proposal import HalfProposal, Proposal

AUTO = "auto"
_MEANING = (
    "SNR: of a module's output against float. Own SNR: the same if all before it were exact, so the lowest adds the "
    "most noise. A module that is fused with the next one cannot be told apart from it."
)


def debug(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle with int8 halves.")],
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="The run that it was exported from, or shipped:NAME.")
    ],
    halves: Annotated[
        list[str] | None, typer.Option("--half", metavar="KEY", help="Only this half; may be repeated.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Of the val part of the data.")] = 64,
    worst: Annotated[int, typer.Option("--worst", min=1, help="How many modules of a half the table lists.")] = 10,
    exclude: Annotated[
        str | None,
        typer.Option("--exclude", metavar="auto", help="auto: propose which modules to keep float, by measuring."),
    ] = None,
    wanted_snr: Annotated[
        float | None,
        typer.Option("--wanted-snr", help="With --exclude: dB at which an output is good enough. Default: 30."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE.toml", help="With --exclude: write it as a calibration recipe."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME", help="Dataset instead of the bundle's: a name, or package.module:factory."
        ),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of the dataset. Default: the dataset's own place."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="With --exclude: the edge target of the bundle, where it is a file of your own."),
    ] = None,
    cloud_target: Annotated[
        str | None, typer.Option("--cloud", help="With --exclude: the cloud target, where it is a file of your own.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show where the int8 halves of a bundle lose precision.

    Signal-to-noise ratio of every module against the float run, the worst first; with --exclude auto, which modules to
    keep float, measured on halves that are compiled anew.
    """
    if exclude not in (None, AUTO):
        raise UsageError(f"there is no way {exclude!r} to exclude", "Give --exclude auto.")
    if exclude is None and (wanted_snr, write, target, cloud_target) != (None,) * 4:
        raise UsageError(
            "--wanted-snr, --write, --target and --cloud are for what is excluded", "Give --exclude auto with them."
        )
    if write is not None:
        if write.suffix != ".toml":
            raise UsageError(f"{write} is no name of a calibration recipe", "It ends in .toml.")
        checks.output_file(write)
    import ecc_deploy as ecc

    opened = ecc.open_bundle(bundle)
    options: dict = {"halves": halves or (), "samples": samples, "dataset": dataset, "data_folder": data_folder}
    options["threads"] = threads
    if exclude is None:
        with shown_progress() as progress:
            found = ecc.debug_bundle(opened, run, progress=progress, **options)
        if as_json:
            terminal.show_json(found.to_json())
        else:
            heading = f"{bundle} and {run}: {found.samples} samples of {found.data}"
            terminal.show(heading, *[part for half in found.halves for part in _layers(half, worst)], _MEANING)
        return
    if wanted_snr is not None:
        options["wanted_snr_db"] = wanted_snr
    with shown_progress() as progress:
        proposal = ecc.propose_exclusions(
            opened, run, target=target, cloud_target=cloud_target, progress=progress, **options
        )
    if as_json:
        terminal.show_json(proposal.to_json())
    else:
        heading = f"{bundle} and {run}: {proposal.measuring_samples} samples of {proposal.data}"
        terminal.show(heading, *[part for half in proposal.halves for part in _steps(half)])
    if write is not None:
        _write(proposal, write, run)


def _write(proposal: Proposal, path: Path, run: str) -> None:
    from ecc_deploy.atomic import write_file

    if proposal.is_empty:
        terminal.note(f"Nothing more to exclude: {path} is not written.")
        return
    write_file(path, proposal.to_toml())
    terminal.note(f"Next: ecc-deploy export {run} --out BUNDLE --calibration {path}")


def _ratio(noise: Noise) -> str:
    from ecc_deploy.report import formats

    if noise.is_none:
        return "no noise"
    return "no signal" if noise.is_all else formats.fixed(noise.snr_db, 1)


def _said(outputs: Sequence[Output]) -> str:
    from ecc_deploy.report import formats

    def one(output: Output) -> str:
        of = "answers" if output.name == "logits" else "codes"
        equal = "" if output.equal is None else f", {formats.percent(output.equal)} equal {of}"
        ratio = _ratio(output.noise)
        return f"{output.name} {ratio}{'' if output.noise.snr_db is None else ' dB'}{equal}"

    return "; ".join(map(one, outputs))


def _layers(half: HalfNoise, worst: int) -> Iterator[str | Table]:
    from rich.table import Table

    table = Table()
    for heading in ("Module", "Type", "Output"):
        table.add_column(heading)
    for heading in ("SNR, dB", "Own SNR, dB"):
        table.add_column(heading, justify="right")
    for layer in half.layers[:worst]:
        shape = "×".join(map(str, layer.shape))
        table.add_row(layer.module, layer.kind, shape, _ratio(layer.total), _ratio(layer.own))
    yield f"\n{half.key} ({half.side}, {half.backend}): {_said(half.outputs)}"
    yield table
    if left := len(half.layers[worst:]):
        yield f"and {left} modules with less noise of their own"


def _steps(half: HalfProposal) -> Iterator[str | Table]:
    from rich.table import Table

    from ecc_deploy.report import formats

    table = Table()
    table.add_column("")
    table.add_column("Kept float", max_width=60)
    for heading in ("MACs", "KiB"):
        table.add_column(heading, justify="right")
    table.add_column("Outputs")
    for place, step in enumerate(half.steps):
        table.add_row(
            "→" if place == half.chosen else "",
            ", ".join(step.exclude) or "—",
            formats.percent(step.macs_share, 0),
            formats.fixed(step.bytes / 1024, 0),
            _said(step.outputs),
        )
    yield f"\n{half.key} ({half.backend}): {half.verdict}"
    yield table
