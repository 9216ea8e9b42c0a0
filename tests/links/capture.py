"""What went over a device, from the packets themselves. Needs root."""

from __future__ import annotations

import contextlib
import socket
import struct

_IPV4 = 0x0800
_RCVBUFFORCE = 33


class DeviceCapture:
    """IPv4 bytes that left by ``device`` (up) and came in there (down), from the length in each packet's header."""

    def __init__(self, device: str) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self._sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 1 << 26)  # no packet is dropped
        self._sock.bind((device, 0x0003))
        self._sock.settimeout(0.2)
        self.up = self.down = self.packets = 0

    def finish(self) -> None:
        """Count the packets that were captured so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                packet, address = self._sock.recvfrom(1 << 17)
                if address[1] != _IPV4:
                    continue
                (length,) = struct.unpack_from(">H", packet, 2)
                assert length == len(packet) <= 1500, "a packet that is no packet of the link"
                self.packets += 1
                if address[2] == socket.PACKET_OUTGOING:
                    self.up += length
                else:
                    self.down += length
        self._sock.close()
