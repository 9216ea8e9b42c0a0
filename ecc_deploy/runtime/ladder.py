"""The codecs that a deployment may choose from under a budget, and what each costs on the bundle's golden samples."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import numpy as np

from ecc_deploy.bundle import Bundle, Manifest
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import UsageError
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import LOSSLESS_IMAGE, boundary_candidates
from ecc_deploy.runtime.policy import Rung


def rungs(bundle: Bundle, name: str, own: Codec, more: Sequence[str]) -> tuple[dict[str, Codec], list[Rung]]:
    """The codecs of the deployment ``name``, by spec, and their costs: ``own`` and those without loss, then ``more``.

    ``more`` is from the most faithful to the least. Bytes and times are those of the golden samples.

    Raises :class:`PayloadError` for a codec that does not suit what is sent, :class:`UsageError` for one with fewer
    bits than the boundary.
    """
    manifest = bundle.manifest
    deployment = manifest.deployments[name]
    kind = sent(bundle, deployment.boundary)
    golden = load_golden(bundle)
    lossless: tuple[str, ...] = LOSSLESS_IMAGE
    tensors = golden.images
    if deployment.boundary is not None:
        tensors = golden.output(deployment.edge or "", "boundary")
        bits = manifest.boundaries[deployment.boundary].bits
        lossless = boundary_candidates(bits, with_table=kind.table is not None)
    ranks = {own.spec: 0, **dict.fromkeys(lossless, 0)}
    for place, spec in enumerate(more):
        check_bits(manifest, deployment.boundary, spec)
        ranks.setdefault(kind.codec(spec).spec, place + 1)
    codecs = {spec: kind.codec(spec) for spec in ranks}
    return codecs, [_cost(codec, ranks[spec], tensors) for spec, codec in codecs.items()]


def _cost(codec: Codec, rank: int, tensors: np.ndarray) -> Rung:
    times, sizes = [], []
    for tensor in [*tensors, *tensors]:  # the first round warms up
        start = time.perf_counter()
        sizes.append(len(codec.encode(tensor)))
        times.append(1e3 * (time.perf_counter() - start))
    return Rung(codec.spec, rank, float(np.mean(sizes)), float(np.median(times[len(tensors) :])))


def check_bits(manifest: Manifest, boundary: str | None, spec: str) -> None:
    """Raise :class:`UsageError` where the codec ``spec`` holds codes of fewer bits than the boundary has."""
    packed = re.match(r"int(\d)\b", spec)
    if packed is None or boundary is None:
        return
    bits = manifest.boundaries[boundary].bits
    if int(packed[1]) < bits:
        raise UsageError(
            f"the codec {spec!r} holds codes of {packed[1]} bits, the boundary has {bits}",
            f"Use int{bits} or wider, or export with a boundary of fewer bits.",
        )
