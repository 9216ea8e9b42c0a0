"""Two independent ways to know what went over loopback: a relay that counts bytes, and a capture of the packets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading


class Relay:
    """Passes TCP connections on to ``target`` and counts the payload bytes of both directions."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"127.0.0.1:{self.port}"
        self.up = self.down = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [near, far]
                threading.Thread(target=self._pump, args=(near, far, "up"), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, "down"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                setattr(self, direction, getattr(self, direction) + len(data))
                sink.sendall(data)
        self._end(source, sink)

    def drop(self) -> None:
        """Cut every connection."""
        self._end(*self._open)
        self._open.clear()

    @staticmethod
    def _end(*socks: socket.socket) -> None:
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()


class Echo:
    """A server that answers every request (4-byte length, then bytes) with 40 bytes, on ``host``."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), sock:
            while True:
                (length,) = struct.unpack("<I", read_exactly(sock, 4))
                read_exactly(sock, length)
                sock.sendall(bytes(40))

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def ask(sock: socket.socket, size: int) -> None:
    """One request of ``size`` bytes to an :class:`Echo`, and its answer."""
    sock.sendall(struct.pack("<I", size) + bytes(size))
    read_exactly(sock, 40)


class Capture:
    """IP bytes on the loopback interface to and from ``port``, from the packets themselves. Needs root."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        self._sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 25)  # SO_RCVBUFFORCE: no packet is dropped
        self._sock.bind(("lo", 0x0003))
        self._sock.settimeout(0.2)
        self.up = self.down = 0

    @staticmethod
    def is_possible() -> bool:
        try:
            Capture(0)._sock.close()
        except (OSError, AttributeError):
            return False
        return True

    def finish(self) -> None:
        """Count the packets that were captured so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                packet, address = self._sock.recvfrom(1 << 17)
                if address[2] == socket.PACKET_OUTGOING:  # loopback shows every packet twice
                    self._count(packet)
        self._sock.close()

    def _count(self, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            (length,), header, protocol = struct.unpack_from(">H", packet, 2), (packet[0] & 15) * 4, packet[9]
        else:
            (length,), header, protocol = struct.unpack_from(">H", packet, 4), 40, packet[6]
            length += 40
        if protocol != socket.IPPROTO_TCP:
            return
        source, target = struct.unpack_from(">HH", packet, header)
        if target == self._port:
            self.up += length
        elif source == self._port:
            self.down += length
