"""What the verbs print, and where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from ecc_deploy.errors import EccError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDTH_OF_FILES = 160
"""Columns where stdout is a file or a pipe: rich would take 80 and cut tables short."""


def console() -> Console:
    """The console on stdout."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_FILES
    return Console(width=width, highlight=False)


def show(*parts: RenderableType) -> None:
    """Print text (as it is, without markup) and tables to stdout."""
    out = console()
    for part in parts:
        out.print(part, markup=False, soft_wrap=isinstance(part, str))


def show_json(facts: Any) -> None:
    """Print one JSON document to stdout, and nothing else."""
    typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))


def note(text: str) -> None:
    """Print something to know, which is no result, to stderr."""
    typer.echo(_printable(text), err=True)


def show_error(error: EccError) -> None:
    """What was wrong, then what to do about it, to stderr."""
    typer.echo(typer.style("Error: ", fg="red", bold=True) + _printable(error.message), err=True)
    if error.hint:
        typer.echo(_printable(error.hint), err=True)


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def _printable(text: str) -> str:
    """Without control characters: a file name or a server's words must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
