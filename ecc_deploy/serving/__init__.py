"""The cloud side at run time: a KServe v2 server for the cloud halves of bundles."""

import os

# gRPC's core writes to stderr what is raised as an error anyway. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from ecc_deploy.serving.server import Server, serve

__all__ = ["Server", "serve"]
