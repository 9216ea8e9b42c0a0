"""How far two machines' answers to the same images are apart, and how far they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from ecc_deploy.runtime.selftest import MAX_CODE_SHARE, MAX_CODE_STEP, MAX_LOGIT_SHIFT


@dataclass(frozen=True)
class Limits:
    """What may differ between the two machines."""

    bytes_equal: bool
    """The same images are sent, as the same bytes."""
    code_step: int
    """A code of a payload, once decoded, is at most so far from the other machine's."""
    code_share: float
    """At most this share of the codes differs at all."""
    sent_share: float
    """At most this share of the images is sent by one machine and answered on the edge by the other."""
    logit_share: float
    """Logits are at most so far apart, as a share of the range of this machine's logits."""


EXACT = Limits(bytes_equal=True, code_step=0, code_share=0.0, sent_share=0.0, logit_share=1e-6)
"""Integers are integers everywhere. Logits of both sides together go through exp and log, which may round otherwise."""
NEAR = Limits(
    bytes_equal=False,
    code_step=MAX_CODE_STEP,
    code_share=MAX_CODE_SHARE,
    sent_share=0.05,  # whose score is that near to the gate's threshold
    logit_share=MAX_LOGIT_SHIFT,
)
"""The tolerance of the self-test, on more samples."""


def limits_of(backend: str, precision: str, sends: str | None) -> Limits:
    """The limits for a deployment that ``sends`` its input, a boundary or nothing."""
    if (backend, precision) == ("tflite", "int8"):
        return EXACT
    # Which images are sent may differ, but an image that both send is the same image.
    return NEAR if sends == "boundary" else replace(NEAR, bytes_equal=True, code_step=0, code_share=0.0)


@dataclass(frozen=True)
class Answers:
    """One deployment's answers: ``logits`` float32 ``[N, classes]``; ``payloads`` by number of image, where sent."""

    logits: np.ndarray
    payloads: Mapping[int, bytes] = field(default_factory=dict)


def load_answers(path: Path) -> dict[str, Answers]:
    """Read what ``arm_device.py`` wrote, by deployment."""
    tensors = load_file(path)
    names = [name.removesuffix(".logits") for name in tensors if name.endswith(".logits")]
    return {
        name: Answers(
            tensors[f"{name}.logits"],
            {
                int(key.removeprefix(f"{name}.payload.")): value.tobytes()
                for key, value in tensors.items()
                if key.startswith(f"{name}.payload.")
            },
        )
        for name in names
    }


@dataclass(frozen=True)
class Difference:
    """What was found, and in ``wrong`` what of it is beyond the limits."""

    images: int
    sent: int
    """By both."""
    sent_by_one: int
    other_bytes: int
    """Payloads, of those that both sent."""
    codes: int
    """Elements of those payloads, decoded."""
    other_codes: int
    largest_step: float
    logit_shift: float
    """The largest, over images that took the same way."""
    logit_range: float
    """Of this machine's."""
    wrong: tuple[str, ...]


def compare(here: Answers, there: Answers, decode: Callable[[bytes], np.ndarray] | None, limits: Limits) -> Difference:
    """Compare one deployment's answers. ``decode``: of its codec; None where the deployment sends nothing.

    Raises :class:`ValueError` for answers to different numbers of images or classes.
    """
    if here.logits.shape != there.logits.shape or not len(here.logits):
        raise ValueError(f"logits of {here.logits.shape} cannot be compared with {there.logits.shape}")
    images = len(here.logits)
    both = sorted(here.payloads.keys() & there.payloads.keys())
    by_one = here.payloads.keys() ^ there.payloads.keys()
    codes = other_codes = 0
    largest_step = 0.0
    for number in both if decode is not None else ():
        steps = np.abs(decode(here.payloads[number]).astype(np.float64) - decode(there.payloads[number]))
        codes += steps.size
        other_codes += int((steps > 0).sum())
        largest_step = max(largest_step, float(steps.max()))
    other_bytes = sum(here.payloads[number] != there.payloads[number] for number in both)
    same_way = [number for number in range(images) if number not in by_one]
    shift = float(np.abs(here.logits - there.logits)[same_way].max()) if same_way else 0.0
    logit_range = float(np.ptp(here.logits))

    wrong = []
    if decode is not None and not both:
        wrong.append("no payload was sent by both: nothing is compared")
    if len(by_one) > limits.sent_share * images:
        wrong.append(f"{len(by_one)} of {images} images are sent by one and not by the other")
    if limits.bytes_equal and other_bytes:
        wrong.append(f"{other_bytes} of {len(both)} payloads have other bytes")
    if largest_step > limits.code_step:
        wrong.append(f"a code is {largest_step:g} from the other; allowed are {limits.code_step}")
    if other_codes > limits.code_share * codes:
        wrong.append(f"{other_codes} of {codes} codes differ; allowed are {limits.code_share:.0%}")
    if not shift <= limits.logit_share * logit_range:
        wrong.append(f"logits differ by {shift:.3g}; allowed are {limits.logit_share * logit_range:.3g}")
    return Difference(
        images, len(both), len(by_one), other_bytes, codes, other_codes, largest_step, shift, logit_range, tuple(wrong)
    )
