"""Where the data that travels with ecc-deploy lies: targets, links, calibration recipes, training recipes, the sample.

In a checkout these are folders beside the package; in an installed wheel the same folders lie inside it, under
``ecc_deploy/_resources`` (see ``[tool.hatch.build]`` in ``pyproject.toml``).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """Return the folder ``name`` (``targets``, ``links``, ``calibration`` or ``recipes``)."""
    packed = _PACKAGE / "_resources" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def shipped_weights(name: str) -> Path:
    """Return the folder of the shipped system ``name``, as a run directory without training curves."""
    return _PACKAGE / "zoo" / "weights" / name
