"""From the :data:`~ecc_deploy.progress.Progress` callback to the terminal: bars, or plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ecc_deploy.progress import Progress

SHORT_S = 1.0
"""In a log, work that takes less than these seconds is not mentioned."""
SILENT_S = 15.0
"""In a log, at least these seconds lie between two lines about the same work."""
FINISHED = float("inf")


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A progress callback that shows on stderr: rich bars on a terminal, plain lines elsewhere."""
    if sys.stderr.isatty():
        with _bars() as callback:
            yield callback
    else:
        yield Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        tasks: dict[str, TaskID] = {}

        def callback(what: str, done: int, total: int, note: str = "") -> None:
            if what not in tasks:
                tasks[what] = display.add_task(what, total=total, note=note)
            display.update(tasks[what], completed=done, total=total, note=note)

        yield callback


class Lines:
    """Few lines about work that takes long, none about what is done at once."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._next: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        started = self._started.setdefault(what, now)
        due = self._next.setdefault(what, started + SHORT_S)
        if done >= total:
            if now - started >= SHORT_S and due < FINISHED:
                _line(f"{what}: done in {now - started:.1f} s", note)
            self._next[what] = FINISHED
        elif now >= due:
            _line(f"{what}: {done}/{total}", note)
            self._next[what] = now + SILENT_S


def _line(text: str, note: str) -> None:
    typer.echo(f"{text} ({note})" if note and note != "done" else text, err=True)
