"""KServe's ``InferenceService`` (``serving.kserve.io/v1beta1``) for a bundle, as YAML."""

from __future__ import annotations

import json
import re

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError

FILE = "inference-service.yaml"
IMAGE = "ecc-deploy:latest"
"""The container of this package's server that is named where none is given; ``docker/serve.Dockerfile`` makes it."""
MOUNTED = "/mnt/models"
"""Where KServe's storage initializer puts what ``storageUri`` names."""
PORT = 8001
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]+")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


def own_service(bundle: Bundle, *, threads: int, image: str | None, storage_uri: str | None) -> str:
    """This package's server in a container of its own, which KServe scales by the number of requests at work."""
    name = _name(bundle)
    return f"""\
# The cloud halves of the bundle {json.dumps(bundle.manifest.name)}, pair {bundle.manifest.pair_id}.
# STORAGE_URI names where the folder bundle/ beside this file was put; KServe mounts it at {MOUNTED}.
{_head(bundle, at_work=16)}    containers:
      - name: kserve-container
        image: {json.dumps(_image(image or IMAGE))}
        args: ["serve", "{MOUNTED}", "--host", "0.0.0.0", "--port", "{PORT}", "--threads", "{threads}"]
        env:
          - name: STORAGE_URI
            value: {json.dumps(_uri(storage_uri, name, "bundle"))}
        ports:
          - name: h2c
            containerPort: {PORT}
            protocol: TCP
        readinessProbe:  # the server listens once every half has answered a golden sample
          tcpSocket:
            port: {PORT}
        resources:
          requests: {{cpu: "{threads}", memory: 512Mi}}
          limits: {{cpu: "{threads}", memory: 1Gi}}
"""


def triton_service(bundle: Bundle, *, image: str | None, storage_uri: str | None) -> str:
    """Triton, as KServe's own runtime for it starts it, with the model repository; ``image``: instead of KServe's."""
    name = _name(bundle)
    chosen = "" if image is None else f"\n      image: {json.dumps(_image(image))}"
    return f"""\
# The cloud halves of the bundle {json.dumps(bundle.manifest.name)}, pair {bundle.manifest.pair_id}, by Triton.
# storageUri names where the folder models/ beside this file was put. The image needs Python with numpy, zstandard and
# pillow for the decode step: docs/production.md says how it gets them.
{_head(bundle, at_work=64)}    model:
      modelFormat:
        name: triton
      protocolVersion: grpc-v2
      storageUri: {json.dumps(_uri(storage_uri, name, "models"))}{chosen}
      ports:
        - name: h2c
          containerPort: 9000
          protocol: TCP
"""


def _head(bundle: Bundle, *, at_work: int) -> str:
    """Up to the predictor's containers; KServe adds replicas where more than ``at_work`` requests are at one."""
    return f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {json.dumps(_name(bundle))}
  labels:
    ecc-deploy/pair: {json.dumps(bundle.manifest.pair_id)}
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 4
    scaleMetric: concurrency
    scaleTarget: {at_work}
"""


def _name(bundle: Bundle) -> str:
    """A name that Kubernetes takes: RFC 1035, at most 63 characters less what KServe appends."""
    plain = re.sub(r"[^a-z0-9]+", "-", bundle.manifest.name.lower()).strip("-")
    return f"ecc-{plain}"[:40].rstrip("-")


def _uri(given: str | None, name: str, folder: str) -> str:
    """A claim of the service's name stands where nothing is given: the file is whole, and it says what to change."""
    if given is None:
        return f"pvc://{name}/{folder}"
    if not _URI.fullmatch(given):
        raise UsageError(
            f"{given!r} is no address of a storage", "Give one that KServe reads: pvc://CLAIM/PATH, s3://BUCKET/PATH."
        )
    return given


def _image(given: str) -> str:
    if not _IMAGE.fullmatch(given):
        raise UsageError(f"{given!r} is not the name of an image", "For example registry.example/ecc-deploy:0.1.")
    return given
