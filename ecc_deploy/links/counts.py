"""What was counted on a link or a connection."""

from typing import NamedTuple


class WireBytes(NamedTuple):
    """IP bytes (headers included, link-layer framing not) from edge to cloud and back."""

    up: int
    down: int
