"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write ``content`` under a temporary name in the same folder, then rename; makes the folder where it is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    work = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        work.chmod(0o644)  # mkstemp gives 0600
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)
