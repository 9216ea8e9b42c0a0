"""How long work reports how far it is: a callback, so that no library code knows a terminal."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""``(what, done, total, note)``: called with ``done`` from 0 to ``total``; ``note`` is a short live figure."""


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """A :data:`Progress` that shows nothing."""
