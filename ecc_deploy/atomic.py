"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``, which becomes ``path`` when the block ends without an error.

    Makes the folder where it is absent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    work = Path(name)
    try:
        yield work
        work.chmod(0o644)  # mkstemp gives 0600
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write ``content`` under a temporary name in the same folder, then rename; makes the folder where it is absent."""
    with replacing(path) as work:
        work.write_bytes(content)
