"""The edge side at run time: engine, gate, payload, link, deadline and fallback."""

import os

# gRPC's core writes to stderr what is raised as an error anyway. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
