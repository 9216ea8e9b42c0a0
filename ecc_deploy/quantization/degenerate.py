"""Calibration samples that cannot be right: told before hours of wrong results, with what probably happened."""

from __future__ import annotations

import numpy as np

from ecc_deploy.errors import DataError

DARKEST = 16
"""A set of images none of whose pixels reaches this, of 255, was scaled before it was made uint8."""
MOSTLY = 0.5
"""The share of constant or of repeated images from which on a set is refused."""
PLANAR_IS_SMOOTHER = 0.6
"""Images whose neighbours differ this much less when the same bytes are read channels first were stored so."""


def check_samples(images: np.ndarray, shape: tuple[int, int, int], name: str) -> None:
    """Raise :class:`DataError` where ``images`` cannot be uint8 ``[N, *shape]`` (height, width, channels) of the
    dataset ``name``: another type or layout, constant images, one image over and over, pixels of another range.
    """
    if images.dtype != np.uint8 or images.shape[1:] != tuple(shape):
        raise DataError(
            f"the calibration images of {name} are {images.dtype} {images.shape[1:]}, not uint8 {tuple(shape)}",
            "A dataset gives images as uint8, height, width, channels; the channels come last.",
        )
    flat = images.reshape(len(images), -1)
    constant = int((flat.min(axis=1) == flat.max(axis=1)).sum())
    if constant > MOSTLY * len(images):
        raise DataError(
            f"{constant} of {len(images)} calibration images of {name} are of one single colour",
            "Ranges found on them would clip real images; check how the dataset is read.",
        )
    brightest = int(images.max())
    if brightest < DARKEST:
        raise DataError(
            f"no pixel of the {len(images)} calibration images of {name} is brighter than {brightest} of 255",
            "Were they scaled to [0, 1] before they were made uint8? A dataset gives pixels of 0 to 255.",
        )
    different = len({image.tobytes() for image in images})
    if len(images) > 1 and different <= (1 - MOSTLY) * len(images):
        raise DataError(
            f"only {different} of {len(images)} calibration images of {name} differ from each other",
            "Ranges found on them hold for these alone; check how the dataset is read.",
        )
    if _looks_planar(images):
        raise DataError(
            f"the calibration images of {name} look like channels first, read as channels last",
            "Transpose them, [N, C, H, W] to [N, H, W, C]; a reshape alone mixes up pixels and colours.",
        )


def _looks_planar(images: np.ndarray) -> bool:
    """Whether the bytes, read channels first, give much smoother pictures than as they are meant."""
    count, height, width, channels = images.shape
    if channels == 1 or min(height, width) < 2:
        return False
    planes = images.reshape(count, channels, height, width)
    return _roughness(planes) < PLANAR_IS_SMOOTHER * _roughness(images.transpose(0, 3, 1, 2))


def _roughness(planes: np.ndarray) -> float:
    """Mean difference of pixels that are neighbours, ``[N, C, H, W]``."""
    values = planes.astype(np.int16)
    return float(np.abs(np.diff(values, axis=2)).mean() + np.abs(np.diff(values, axis=3)).mean())
