"""The user's cache folder: what can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(kind: str) -> Path:
    """The folder of one ``kind`` of content, whether it is there or not: ``$XDG_CACHE_HOME/ecc-deploy/kind``, by the
    XDG base directory specification.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ecc-deploy" / kind
