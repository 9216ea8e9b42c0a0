"""Boundary tensors and images as bytes on the link."""

from ecc_deploy.payload.interface import Codec, TensorSpec
from ecc_deploy.payload.registry import make_codec

__all__ = ["Codec", "TensorSpec", "make_codec"]
