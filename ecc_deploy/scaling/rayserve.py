"""Ray Serve's configuration for a bundle: ``serve run FILE`` on one machine, ``serve deploy FILE`` on a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from ecc_deploy.bundle import Bundle

FILE = "serve.yaml"
PORT = 8001
MAX_ONGOING = 64
"""Requests that one replica holds."""
MAX_QUEUED = 256
"""Requests that wait for a replica, for each proxy; one more is refused at once."""


def config(bundle: Bundle, path: Path, *, threads: int) -> str:
    """The application ``ecc_deploy.scaling.ray_app``, with the bundle that lies at ``path`` on every node."""
    return f"""\
# The cloud halves of the bundle {json.dumps(bundle.manifest.name)}, pair {bundle.manifest.pair_id}.
# On every node: ray[serve] and ecc-deploy[serve], and the bundle at the path under args.
proxy_location: EveryNode
http_options:
  host: 127.0.0.1
  port: 8000
grpc_options:
  port: {PORT}
  grpc_servicer_functions:
    - tritonclient.grpc.service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
applications:
  - name: ecc-deploy
    route_prefix: /
    import_path: ecc_deploy.scaling.ray_app:application
    args:
      bundle: {json.dumps(str(path))}
      threads: {threads}
    deployments:
      - name: CloudHalves
        max_ongoing_requests: {MAX_ONGOING}
        max_queued_requests: {MAX_QUEUED}
        autoscaling_config:
          min_replicas: 1
          max_replicas: 4
          target_ongoing_requests: 16
        ray_actor_options:
          num_cpus: {threads}
"""
