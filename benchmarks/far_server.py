"""For benchmarks over an emulated link: a server of a bundle at the link's far end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ecc_deploy import child
from ecc_deploy.errors import ServerError
from ecc_deploy.links import Link


@contextlib.contextmanager
def far_server(link: Link, bundle: Path, *options: str) -> Iterator[str]:
    """Start `python -m ecc_deploy.serving` at the far end; gives the address that leads to it through the link.

    It ends with the block, and with this process. Raises :class:`ServerError` where it does not start.
    """
    command = child.command("ecc_deploy.serving", str(bundle), "--host", link.far_host, "--port", "0", *options)
    process = subprocess.Popen(
        [*link.far, *command, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        env=child.environment(),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise ServerError(f"the server for {bundle} did not start", "What it wrote stands above.")
        yield link.url(int(json.loads(line)["port"]))
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
