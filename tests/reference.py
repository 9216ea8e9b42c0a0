"""What the toy bundle must answer, computed by hand."""

import numpy as np

from tests import toy


def _flat_images(images: np.ndarray) -> np.ndarray:
    pixels = (images.astype(np.float64) / 255 - 0.25) / 0.5
    return pixels.reshape(len(images), 64)


def edge_logits(images: np.ndarray) -> np.ndarray:
    """Of the edge model's own head; float64 ``[N, 4]``."""
    noise = np.random.default_rng(7).normal(0, 0.12, (64, 4))
    return _flat_images(images) @ (3 * toy._quadrants(8) + noise)


def cloud_logits(images: np.ndarray) -> np.ndarray:
    """Of the whole cloud model."""
    return _flat_images(images) @ (6 * toy._quadrants(8))


def codes(images: np.ndarray) -> np.ndarray:
    """The boundary; uint8 ``[N, 1, 4, 4]``."""
    pooled = _flat_images(images).reshape(-1, 4, 2, 4, 2).mean((2, 4))
    return np.clip(np.rint(pooled / toy.SCALE), 0, 2**toy.BITS - 1).astype(np.uint8)[:, np.newaxis]


def confidence(images: np.ndarray) -> np.ndarray:
    """Of the rich bundle's learned gate: how much brighter the left is; float64 ``[N]``."""
    return _flat_images(images) @ toy._quadrants(8) @ toy.GATE


def fused(edge: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Log-probabilities of the rich bundle's fused answers, float64 ``[N, 4]``."""

    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)

    return np.log(0.4 * softmax(edge / 2.0) + 0.6 * softmax(cloud / 3.0))


def tail_logits(images: np.ndarray) -> np.ndarray:
    """Of the cloud tail, fed with :func:`codes`."""
    return (codes(images) * toy.SCALE).reshape(-1, 16) @ (6 * toy._quadrants(4))
