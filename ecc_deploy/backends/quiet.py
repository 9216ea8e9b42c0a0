"""Toolchains talk: progress bars, warnings and notes to nobody, between our own lines."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block, nothing is shown that code prints, warns of or logs below an error, Python's or native.

    What fails raises, here as elsewhere. For toolchains only: a debugger inside it would not be seen either.
    """
    noise = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _away(1), _away(2):
                yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _away(descriptor: int) -> Iterator[None]:
    """Within the block, what is written to the file ``descriptor`` goes nowhere; native code and children use it."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    try:
        kept = os.dup(descriptor)
    except OSError:  # closed, as a service's may be
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
