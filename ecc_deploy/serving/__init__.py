"""The cloud side at run time: a KServe v2 server for the cloud halves of bundles.

:class:`Server` and :func:`serve` are imported when they are first used: other servers of the protocol bring messages
of their own, which cannot be in one process with those of ours, and use only the halves.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# gRPC's core writes to stderr what is raised as an error anyway. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if TYPE_CHECKING:
    from ecc_deploy.serving.server import Server as Server
    from ecc_deploy.serving.server import serve as serve

__all__ = ["Server", "serve"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.server"), name)
