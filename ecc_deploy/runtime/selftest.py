"""The self-test: this machine against the golden samples of the bundle, before a figure counts.

Codecs are integer and must agree bit for bit. Engines may round differently on another CPU, by one code here and
there; how far they may go is stated below.
"""

from __future__ import annotations

import numpy as np

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, Deployment
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.bundle.golden import Golden, load_golden
from ecc_deploy.errors import BundleError, PayloadError, ServerError
from ecc_deploy.payload import Codec, make_codec
from ecc_deploy.preprocess import Preprocess
from ecc_deploy.runtime.client import CloudClient, CloudError

MAX_CODE_STEP = 1
"""How far a boundary code may be from the golden one."""
MAX_CODE_SHARE = 0.02
"""How many of the codes may differ at all, over all golden samples."""
MAX_LOGIT_SHIFT = 0.05
"""How far logits may be from the golden ones, as a share of the golden logits' range over all samples."""
MAX_FLOAT_SHIFT = 0.01
"""The same for a boundary of floats."""
LEAST_CONFIDENCE_RANGE = 1.0
"""A learned gate's confidence is a logit too, and few samples may all be about as sure: its range counts as no less."""

_ANOTHER_MACHINE = "This machine computes something else than the one that made the bundle: export the bundle for it."
_EXPORT_AGAIN = "The bundle is inconsistent: export it again."


def check_edge(bundle: Bundle, threads: int = 1) -> list[str]:
    """Check the codecs and the edge halves of ``bundle`` on this machine; return a note on each.

    Of a codec: the golden payload decodes to the golden tensor, and what is encoded here decodes to it too (bit for
    bit; for a lossy image codec, that it decodes). Of a half: boundary codes differ by at most :data:`MAX_CODE_STEP`
    in at most :data:`MAX_CODE_SHARE` of the elements; logits stay within :data:`MAX_LOGIT_SHIFT` and have the same
    argmax, unless the two classes are that near to each other; a learned gate's confidence stays within
    :data:`MAX_LOGIT_SHIFT` too.

    Raises :class:`BundleError` naming the half or deployment, and the figure.
    """
    golden = load_golden(bundle)
    manifest = bundle.manifest
    notes = []
    for name, deployment in sorted(manifest.deployments.items()):
        if deployment.codec is not None:
            notes.append(_check_codec(bundle, golden, name, deployment))
    for key, half in sorted(manifest.halves.items()):
        if half.side != "edge":
            continue
        images = Preprocess(manifest.input, half)(golden.images)
        with open_runner(bundle.file(half.file), half, threads) as runner:
            batches = [runner.run({"image": images[i : i + 1]}) for i in range(len(images))]
        for tensor in half.outputs:
            found = np.concatenate([batch[tensor.name] for batch in batches])
            wanted = golden.output(key, tensor.name)
            if found.shape != wanted.shape or found.dtype != wanted.dtype:
                raise BundleError(
                    f"edge half {key!r}: {tensor.name} is {found.dtype} {found.shape}, golden {wanted.dtype} "
                    f"{wanted.shape}",
                    _EXPORT_AGAIN,
                )
            wrong, note = _COMPARE.get(tensor.name, _compare_boundary)(found, wanted)
            if wrong:
                raise BundleError(f"edge half {key!r}: {note}", _ANOTHER_MACHINE)
            notes.append(f"edge half {key!r}: {note}")
    return notes


def check_cloud(bundle: Bundle, cloud: CloudClient) -> list[str]:
    """Send the golden samples to the server that ``cloud`` is connected to; return a note on each deployment.

    The payloads are the golden ones; where the deployment's codec is lossy, the images are sent raw instead, so that
    the logits can be compared at all. The tolerance is that of :func:`check_edge`.

    Raises :class:`ServerError` where the server does not answer, :class:`BundleError` where it answers something else.
    """
    golden = load_golden(bundle)
    notes = []
    for name, deployment in sorted(bundle.manifest.deployments.items()):
        if deployment.cloud is None or deployment.codec is None:
            continue
        codec = sent(bundle, deployment.boundary).codec(deployment.codec)
        payloads = [golden.payload(name, i) for i in range(len(golden))]
        how = codec.spec
        if not codec.is_lossless and deployment.sends == "input":
            _ask(cloud, name, deployment.cloud, payloads[:1], codec)
            codec = make_codec("raw", codec.tensor)
            payloads = [codec.encode(image) for image in golden.images]
            how += ", compared as raw"
        wrong, note = _compare_logits(
            _ask(cloud, name, deployment.cloud, payloads, codec), golden.output(deployment.cloud, "logits")
        )
        where = f"cloud half {deployment.cloud!r} of deployment {name!r} ({how}): {note}"
        if wrong:
            raise BundleError(where, "The server computes something else than the machine that made the bundle.")
        notes.append(where)
    return notes


def _ask(cloud: CloudClient, name: str, half: str, payloads: list[bytes], codec: Codec) -> np.ndarray:
    try:
        return np.stack([cloud.infer(half, payload, codec.spec, deadline_s=10.0).logits for payload in payloads])
    except CloudError as error:
        raise ServerError(
            f"the server at {cloud.url} does not answer the golden samples of {name!r}: {error.detail}",
            "Its log may say more.",
        ) from error


def _check_codec(bundle: Bundle, golden: Golden, name: str, deployment: Deployment) -> str:
    where = f"deployment {name!r}, codec {deployment.codec}"
    tensors = golden.images if deployment.boundary is None else golden.output(deployment.edge or "", "boundary")
    other_bytes = 0
    try:
        codec = sent(bundle, deployment.boundary).codec(deployment.codec or "")
        for index, tensor in enumerate(tensors):
            payload, encoded = golden.payload(name, index), codec.encode(tensor)
            other_bytes += payload != encoded
            for what, decoded in (
                ("the golden payload", codec.decode(payload)),
                ("what is encoded here", codec.decode(encoded)),
            ):
                wrong = int((decoded != tensor).sum())
                if codec.is_lossless and wrong:
                    raise BundleError(
                        f"{where}: {what} of sample {index} decodes to another tensor: {wrong} of {tensor.size} "
                        "elements differ",
                        _EXPORT_AGAIN,
                    )
    except PayloadError as error:
        raise BundleError(f"{where}: {error.message}", _EXPORT_AGAIN) from error
    exactness = "bit-exact" if codec.is_lossless else "lossy, decodes"
    # Another version of zstd, PNG or JPEG may find other bytes for the same tensor: no error, but worth knowing.
    note = f"; {other_bytes} encoded to other bytes than at export" if other_bytes else ""
    return f"{where}: {len(golden)} payloads {exactness}{note}"


def _compare_boundary(found: np.ndarray, wanted: np.ndarray) -> tuple[bool, str]:
    difference = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    largest = float(difference.max())
    if wanted.dtype == np.float32:
        limit = MAX_FLOAT_SHIFT * float(np.ptp(wanted))
        return not largest <= limit, f"boundary differs by at most {largest:.3g} (allowed {limit:.3g})"
    share = float((difference > 0).mean())
    return (
        largest > MAX_CODE_STEP or share > MAX_CODE_SHARE,
        f"boundary codes differ by at most {largest:g} in {share:.2%} of the elements "
        f"(allowed {MAX_CODE_STEP} in {MAX_CODE_SHARE:.0%})",
    )


def _compare_logits(found: np.ndarray, wanted: np.ndarray) -> tuple[bool, str]:
    largest = float(np.abs(found - wanted).max())
    limit = MAX_LOGIT_SHIFT * float(np.ptp(wanted))
    rows = np.arange(len(wanted))
    # A class other than the golden one is forgiven where the golden logits of both are as good as equal.
    lost = wanted.max(axis=-1) - wanted[rows, found.argmax(axis=-1)]
    other = int((lost > limit).sum())
    return (
        not largest <= limit or other > 0,
        f"logits differ by at most {largest:.3g} (allowed {limit:.3g}), {other} of {len(wanted)} samples change class",
    )


def _compare_confidence(found: np.ndarray, wanted: np.ndarray) -> tuple[bool, str]:
    largest = float(np.abs(found - wanted).max())
    limit = MAX_LOGIT_SHIFT * max(float(np.ptp(wanted)), LEAST_CONFIDENCE_RANGE)
    return not largest <= limit, f"confidence differs by at most {largest:.3g} (allowed {limit:.3g})"


_COMPARE = {"logits": _compare_logits, "confidence": _compare_confidence}
