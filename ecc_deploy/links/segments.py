"""What a stream of bytes becomes on the line: TCP segments over IPv4 with time stamps, on an MTU of 1500."""

HEADERS = 52
"""IP 20, TCP 20, time stamps 12."""
PAYLOAD = 1500 - HEADERS


def with_headers(count: int) -> int:
    """IP bytes of ``count`` payload bytes in full segments; without payload it is still one segment."""
    return count + HEADERS * max(1, -(-count // PAYLOAD))
