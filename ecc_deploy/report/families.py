"""The architectures as they appear in every table and plot: one name, colour, marker and dash each, everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from ecc_deploy.bench.schema import Arm


@dataclass(frozen=True)
class Family:
    """How one architecture is shown. Colour is never the only sign: marker and dash differ too.

    The colours are those of Okabe and Ito (Color Universal Design, 2008), which stay apart for readers with any
    common colour vision deficiency; blue, green and pink are a little lighter, so that they hold on dark paper too.
    """

    architecture: str
    label: str
    says: str
    """What it does, in half a sentence."""
    colour: str
    marker: str
    """Name of the symbol in figures; the glyphs of the HTML have the same shapes."""
    dash: str
    glyph: str
    """An SVG path in a box of 16 by 16 around the origin."""


_DIAMOND = "M0,-7.4L6,0L0,7.4L-6,0Z"
_STAR = "M0,-7.6L1.9,-2.6L7.2,-2.3L3.1,1L4.5,6.2L0,3.3L-4.5,6.2L-3.1,1L-7.2,-2.3L-1.9,-2.6Z"

FAMILIES = (
    Family("edge-only", "Edge-only", "the edge model answers everything", "#e69f00", "circle", "dot",
           "M-5.6,0A5.6,5.6 0 1 0 5.6,0A5.6,5.6 0 1 0 -5.6,0Z"),
    Family("cloud-only", "Cloud-only", "every input is sent to the cloud model", "#2684c4", "square", "longdash",
           "M-5.2,-5.2H5.2V5.2H-5.2Z"),
    Family("independent", "ECC-I", "unsure samples are sent as input to the whole cloud model", "#cc79a7",
           "triangle-up", "dashdot", "M0,-6.6L6.4,5.2H-6.4Z"),
    Family("adaptive", "ECC-A", "every sample’s edge feature continues in the cloud tail", "#08a37a", "diamond",
           "dash", _DIAMOND),
    Family("dynamic", "ECC-D", "unsure samples’ edge features continue in the cloud tail", "#d55e00", "star", "solid",
           _STAR),
)  # fmt: skip
"""In the order of every table."""

_BY_ARCHITECTURE = {family.architecture: family for family in FAMILIES}
_GREY = "#808080"


def family_of(arm: Arm) -> Family:
    """The family of an arm; an architecture that is not known here keeps its own name, in grey."""
    known = _BY_ARCHITECTURE.get(arm.architecture)
    return known or Family(arm.architecture, arm.architecture, "", _GREY, "x", "dot", "M-5,-5L5,5M5,-5L-5,5")


def rank(arm: Arm) -> int:
    """Where the arm's family stands in the order of every table."""
    order = list(_BY_ARCHITECTURE)
    return order.index(arm.architecture) if arm.architecture in _BY_ARCHITECTURE else len(order)
