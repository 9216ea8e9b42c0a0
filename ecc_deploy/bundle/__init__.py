"""Bundles: both halves, the manifest that pairs them, and golden samples."""

from ecc_deploy.bundle.manifest import (
    Boundary,
    Deployment,
    File,
    Fusion,
    Gate,
    GuardResult,
    Half,
    InputInfo,
    Manifest,
    TensorInfo,
)
from ecc_deploy.bundle.store import Bundle, hash_file, open_bundle, write_bundle

__all__ = [
    "Boundary",
    "Bundle",
    "Deployment",
    "File",
    "Fusion",
    "Gate",
    "GuardResult",
    "Half",
    "InputInfo",
    "Manifest",
    "TensorInfo",
    "hash_file",
    "open_bundle",
    "write_bundle",
]
