"""``ecc-deploy plan``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import terminal
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.partition.plan import Plan
    from ecc_deploy.partition.predict import Predicted


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A backbone of the zoo, package.module:factory, or a .pt2 file of torch.export."
        ),
    ],
    target: Annotated[str, typer.Option("--target", help="The edge: name of a target, or path of a TOML file.")],
    cloud: Annotated[str, typer.Option("--cloud", help="The cloud: name of a target, or path of a TOML file.")],
    links: Annotated[
        list[str], typer.Option("--link", metavar="LINK", help="Name, TOML file or rate=10mbit,delay=20ms; repeatable.")
    ],
    image: Annotated[str, typer.Option("--input", metavar="C,H,W", help="Size of an image.")] = "3,224,224",
    classes: Annotated[int, typer.Option("--classes", min=1, help="Of a model that is made here.")] = 10,
    objective: Annotated[str, typer.Option("--objective", help="latency, bytes or cloud-macs.")] = "latency",
    constraints: Annotated[
        list[str] | None,
        typer.Option("--constraint", metavar="EXPRESSION", help="latency_ms<=80 and such; repeatable."),
    ] = None,
    bits: Annotated[int, typer.Option("--bits", min=1, max=32, help="Of each number that crosses.")] = 8,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of one inference.")] = 1,
    top: Annotated[int, typer.Option("--top", min=1, help="How many cuts to list for each link.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables: every cut.")] = False,
) -> None:
    """Find where to cut a model, by what each cut would take.

    Every legal cut, over one or more links. Both sides are profiled on this machine, layer by layer, in float32, by the
    targets' own runtime.
    """
    import ecc_deploy as ecc

    lines = [ecc.load_link(link) for link in links]
    found = ecc.plan(
        model,
        ecc.load_target(target),
        ecc.load_target(cloud),
        lines,
        input_shape=_shape(image),
        classes=classes,
        objective=objective,
        constraints=constraints or (),
        bits=bits,
        threads=threads,
    )
    if as_json:
        terminal.show_json(found.to_json())
        return
    for line in lines:
        rows = found.by_link[line.name]
        if rows:
            terminal.show(_table(rows[:top], f"{line.name}: {line.describe()}"))
        else:
            terminal.show(f"{line.name}: no cut keeps {' and '.join(constraints or ())}.")
    terminal.show(_summary(found))


def _shape(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = (int(part) for part in text.split(","))
        if min(channels, height, width) < 1:
            raise ValueError
    except ValueError:
        raise UsageError(f"--input {text} is no size of an image", "Write C,H,W: 3,224,224.") from None
    return channels, height, width


def _table(rows: list[Predicted], title: str) -> Table:
    from rich.table import Table

    table = Table("What crosses", title=title)
    for name in ("Bytes", "Edge MMAC", "Cloud MMAC", "Edge ms", "Up ms", "Round trip ms", "Cloud ms", "Latency ms"):
        table.add_column(name, justify="right")
    for row in rows:
        times = (row.edge_ms, row.up_ms, row.rtt_ms, row.cloud_ms, row.latency_ms)
        table.add_row(
            _crossing(row),
            str(row.payload_bytes),
            f"{row.edge_macs / 1e6:.1f}",
            f"{row.cloud_macs / 1e6:.1f}",
            *(f"{taken:.2f}" for taken in times),
        )
    return table


def _crossing(row: Predicted) -> str:
    if row.cut is None:
        return "nothing: all on the edge"
    return ", ".join(f"{tensor.name} {'x'.join(map(str, tensor.shape))}" for tensor in row.cut.crossing)


def _summary(found: Plan) -> str:
    cuts = found.cuts
    which = "all that are legal" if cuts.is_complete else "those along the program's order, of too many"
    wholes = dict.fromkeys(f"{side.whole_ms:.2f} ms with {side.target}" for side in (found.edge, found.cloud))
    return (
        f"{len(cuts.cuts)} cuts, {which}, between {len(cuts.groups)} groups of operators; at {cuts.illegal} more "
        f"something would cross that cannot. The whole takes {' and '.join(wholes)} on this machine, in float32; the "
        "rest is predicted from the profile of its layers."
    )
