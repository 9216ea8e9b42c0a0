"""A module of this package in a process of its own."""

from __future__ import annotations

import os
import sys

# `python -P -m MODULE`, which Python 3.10 does not know: -m alone would import from the present folder.
_RUN = (
    "import runpy, sys; sys.path[:] = [path for path in sys.path if path]; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """What runs ``python -m module`` without anything from the present folder; with :func:`environment`."""
    return [sys.executable, "-c", _RUN, module, *arguments]


def environment() -> dict[str, str]:
    """For the same code as here, wherever it was imported from."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
