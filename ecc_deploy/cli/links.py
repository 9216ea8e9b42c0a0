"""``ecc-deploy links``"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from ecc_deploy.cli import terminal

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and check the links that can be emulated.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LinkArgument = Annotated[
    str,
    typer.Argument(
        metavar="LINK", help="Name of a link, path of a TOML file, or a text such as rate=10mbit,delay=20ms."
    ),
]


class Method(str, Enum):
    """How a link is emulated; ``auto``: the first that this machine can do."""

    auto = "auto"
    netem = "netem"
    tun = "tun"
    proxy = "proxy"


@app.command("list")
def list_links(as_json: JsonOption = False) -> None:
    """List the links that ship with ecc-deploy."""
    import ecc_deploy as ecc

    links = ecc.list_links()
    if as_json:
        terminal.show_json([link.model_dump(mode="json") for link in links])
        return
    from rich.table import Table

    table = Table("Name", "Title")
    for name in ("Up Mbit/s", "Down Mbit/s", "Round trip ms", "Jitter ms", "Loss", "Queue ms"):
        table.add_column(name, justify="right")
    for link in links:
        rates = ("unlimited" if mbit is None else f"{mbit:g}" for mbit in (link.up_mbit, link.down_mbit))
        jitter = f"±{link.jitter_ms:g}" if link.jitter_ms else "-"
        loss = f"{link.loss:.2%}" if link.loss else "-"
        table.add_row(link.name, link.title, *rates, f"{link.rtt_ms:g}", jitter, loss, f"{link.queue_ms:g}")
    terminal.show(table, "A link of your own is a TOML file or a text: see docs/links.md.")


@app.command("show")
def show_link(link: LinkArgument, as_json: JsonOption = False) -> None:
    """Show one link, and where its figures are from."""
    import ecc_deploy as ecc

    found = ecc.load_link(link)
    if as_json:
        terminal.show_json(found.model_dump(mode="json"))
        return
    terminal.show(
        f"{found.name}: {found.title}",
        found.describe(),
        f"queue:   {found.queue_ms:g} ms",
        *(f"source:  {quantity}: {text}" for quantity, text in found.sources.items()),
        *(f"note:    {text}" for text in found.notes),
    )


@app.command("check")
def check_link(
    link: LinkArgument,
    method: Annotated[Method, typer.Option(help="How to emulate it.")] = Method.auto,
    as_json: JsonOption = False,
) -> None:
    """Emulate a link here, and measure what the emulation gives; exit code 2 where it is off by more than 5 %."""
    import ecc_deploy as ecc

    profile = ecc.load_link(link)
    with ecc.open_link(profile, method=method.value) as opened:
        check, note = opened.check, opened.note
        used = opened.method
    assert check is not None
    if as_json:
        facts = {"link": profile.model_dump(mode="json"), "method": used, "note": note}
        terminal.show_json({**facts, "check": check.model_dump(mode="json")})
        return
    from rich.table import Table

    table = Table("", "Wanted", "Measured", "Off by")
    for field, name in (("up_mbit", "Mbit/s up"), ("down_mbit", "Mbit/s down"), ("rtt_ms", "ms round trip")):
        if field in check.off:
            wanted, measured = getattr(profile, field), getattr(check, field)
            table.add_row(name, f"{wanted:g}", f"{measured:.4g}", f"{check.off[field]:+.2%}")
    terminal.show(f"{profile.name}, emulated by {used}: {note}", table)
