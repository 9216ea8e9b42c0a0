"""Code of the user's own, named ``package.module:factory`` in a recipe: importing it, and blaming the right line."""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ecc_deploy.errors import EccError

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NOBODYS = {*sys.stdlib_module_names, "torch"}
"""What these hold makes neither a model nor a dataset, and some of it does what nobody wants of a recipe."""


def import_factory(name: str, kind: str, error: type[EccError]) -> Callable[..., Any]:
    """What ``name`` (``package.module:factory``) names; ``kind`` says what it makes: "model", "dataset".

    Nothing is added to ``sys.path``. Raises ``error`` saying what is absent, and what is near it.
    """
    if not _NAME.fullmatch(name):
        raise error(f"{name!r} does not name a {kind}", "Write package.module:factory.")
    module_name, _, attributes = name.partition(":")
    if module_name.split(".")[0] in _NOBODYS:
        raise error(f"{name} is no {kind}", "Nothing of Python's or torch's own makes one; name your own function.")
    with blamed(f"importing {module_name}", error):
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{module_name}.".startswith(f"{missing.name}."):
                raise
            raise error(
                f"the {kind} {name} cannot be made: there is no module {missing.name}",
                "Install its package, or put the folder that holds it into PYTHONPATH.",
            ) from missing
        for attribute in attributes.split("."):
            if not hasattr(found, attribute):
                near = difflib.get_close_matches(attribute, dir(found), n=3)
                hint = f"Did you mean {' or '.join(near)}?" if near else ""
                raise error(f"the {kind} {name} cannot be made: there is no {attribute} in it", hint)
            found = getattr(found, attribute)
    if not callable(found):
        raise error(f"the {kind} {name} cannot be made: {attributes} is not callable")
    factory: Callable[..., Any] = found
    return factory


@contextmanager
def blamed(what: str, error: type[EccError]) -> Iterator[None]:
    """Turn what the user's code raises into ``error``, naming its last line: the command line shows no traceback."""
    try:
        yield
    except EccError:
        raise
    except Exception as raised:  # the code is not ours, so it raises what it likes
        last = traceback.extract_tb(raised.__traceback__)[-1]
        raise error(f"{what} failed: {type(raised).__name__}: {raised} ({last.filename}:{last.lineno})") from raised
