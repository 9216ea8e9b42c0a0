"""How each curve of an evaluation is drawn: never told from another by colour alone."""

from __future__ import annotations

from collections.abc import Sequence

from ecc_deploy.evaluation.result import Curve
from ecc_deploy.report.families import FAMILIES, Family

BY_ARCHITECTURE: dict[str, Family] = {family.architecture: family for family in FAMILIES}
_LOSSLESS = {
    "raw": ("dot", "circle-open"),
    "png": ("dash", "square-open"),
    "webp-lossless": ("longdash", "diamond-open"),
}
_JPEG = ("triangle-down", "triangle-down-open", "hexagon", "hexagon-open", "pentagon", "pentagon-open")
_WEBP = (
    *("triangle-up", "triangle-up-open", "triangle-right", "triangle-right-open"),
    *("triangle-left", "triangle-left-open", "cross", "cross-open"),
)
_LOSSY = {"jpeg": ("longdashdot", "#9c755f", _JPEG), "webp": ("dashdot", "#8a63b5", _WEBP)}
"""Dash, colour, and a marker for each quality."""
GATES = {
    "max-softmax": ("dash", "circle", "#2684c4"),
    "entropy": ("dot", "square", "#08a37a"),
    "margin": ("dashdot", "diamond", "#8a63b5"),
    "learned": ("solid", "star", "#d55e00"),
}
"""Dash, marker and colour of each gate score."""
UNKNOWN = ("solid", "x", "#808080")


def style_of(curve: Curve, every: Sequence[Curve]) -> tuple[str, str, str, float]:
    """Dash, marker, colour and width. Qualities of one lossy codec share dash and colour and differ by their marker."""
    family = BY_ARCHITECTURE[curve.architecture]
    if curve.architecture == "dynamic":
        return family.dash, family.marker, family.colour, 3.0
    if curve.codec in _LOSSLESS:
        return (*_LOSSLESS[curve.codec], family.colour, 1.5)
    base = curve.codec.partition(":")[0]
    dash, colour, symbols = _LOSSY.get(base, ("solid", "#808080", ("x",)))
    qualities = list(dict.fromkeys(other.codec for other in every if other.codec.partition(":")[0] == base))
    return dash, symbols[qualities.index(curve.codec) % len(symbols)], colour, 1.5
