"""Ray Serve's configuration for a bundle: ``serve run FILE`` on one machine, ``serve deploy FILE`` on a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from ecc_deploy.bundle import Bundle

FILE = "serve.yaml"
PORT, HTTP_PORT = 8001, 8000
REPLICAS = 4
MAX_ONGOING = 64
"""Requests that one replica holds."""
MAX_QUEUED = 256
"""Requests that wait for a replica, for each proxy; one more is refused at once."""


def config(
    bundle: Bundle, path: Path, *, threads: int, port: int = PORT, http_port: int = HTTP_PORT, replicas: int = REPLICAS
) -> str:
    """The application ``ecc_deploy.scaling.ray_app``, with the bundle that lies at ``path`` on every node.

    ``replicas``: most of them, each with ``threads`` CPUs; Ray starts with one.
    """
    return f"""\
# The cloud halves of the bundle {json.dumps(bundle.manifest.name)}, pair {bundle.manifest.pair_id}.
# On every node: ray[serve] and ecc-deploy[serve], and the bundle at the path under args.
proxy_location: EveryNode
http_options:
  host: 127.0.0.1
  port: {http_port}
grpc_options:
  port: {port}
  grpc_servicer_functions:
    - ecc_deploy.scaling.ray_messages.add_to_server
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
          max_replicas: {replicas}
          target_ongoing_requests: 16
        ray_actor_options:
          num_cpus: {threads}
"""
