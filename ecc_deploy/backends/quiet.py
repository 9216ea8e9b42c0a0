"""Toolchains talk: progress bars, warnings and notes to nobody, between our own lines."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block, nothing that Python code prints, warns of or logs below an error is shown.

    What fails raises, here as elsewhere. For toolchains only: a debugger inside it would not be seen either.
    """
    noise = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
