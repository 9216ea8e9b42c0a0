"""The link, as a program of its own: TCP from one port to another, and everything that can go wrong on the way.

``python -m tests.faults.relay UPSTREAM_PORT`` prints ``{"port": N}``. Each line on stdin is a command, answered by
``ok`` once it is in force; it ends when stdin closes. While ``flip`` is on, bits are changed: for links with TLS only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys

STATES = ("pass", "cut", "late", "trickle", "midway", "reset", "swallow", "junk-down", "junk-up", "refuse", "flip")
FORGET = "forget"
"""Nothing more passes on the connections that are there, and nobody is told; new ones are as they should be."""
_LATE_S, _TRICKLE_S, _JUNK = 0.4, 0.02, 64
_SWALLOWS = (16384 - 1).to_bytes(3, "big") + b"\xfa" + bytes(5)
"""The head of an HTTP/2 frame of a type that nobody knows: who believes it takes the next 16 KB for its body."""


class Pair:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.is_forgotten = False

    def reset(self) -> None:
        """End both at once by RST, not by FIN: as after a crash of what lies between."""
        for writer in (self.client, self.server):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Relay:
    """Listens on ``port`` (0: a free one) and passes on to ``upstream`` on this machine."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._pairs: set[Pair] = set()
        self._open = asyncio.Event()
        self._state = "pass"
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> None:
        self._open.set()
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def command(self, word: str) -> str:
        if word == "count":
            return str(len(self._pairs))
        if word == FORGET:
            for pair in self._pairs:
                pair.is_forgotten = True
        elif word in STATES:
            await self._enter(word)
        else:
            return f"unknown command {word!r}"
        return "ok"

    async def _enter(self, state: str) -> None:
        if state == "refuse" and self._listener is not None:
            self._listener.close()
            self._listener = None
            for pair in list(self._pairs):
                pair.reset()
        elif self._listener is None:
            await self.listen()
        self._state = state
        if state == "cut":
            self._open.clear()
        else:
            self._open.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            _reset(writer)
            return
        pair = Pair(writer, up_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, up_writer, is_down=False), self._pump(pair, up_reader, writer, is_down=True)
            )
        finally:
            pair.reset()
            self._pairs.discard(pair)

    async def _pump(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_down: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._open.wait()
                if pair.is_forgotten:
                    continue
                if self._state == "late":
                    await asyncio.sleep(_LATE_S)
                elif self._state == "midway" and is_down:
                    writer.write(data[: len(data) // 2])
                    await asyncio.sleep(0.005)  # so that the half is on its way before the end comes
                    break
                elif self._state == "reset" and not is_down:
                    break
                elif self._state == "swallow" and is_down:
                    writer.write(_SWALLOWS)
                elif self._state == ("junk-down" if is_down else "junk-up"):
                    writer.write(os.urandom(_JUNK))
                elif self._state == "flip" and is_down:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                elif self._state == "trickle":
                    while len(data) > 1 and self._state == "trickle":
                        writer.write(data[:1])
                        data = data[1:]
                        await writer.drain()
                        await asyncio.sleep(_TRICKLE_S)
                writer.write(data)
                await writer.drain()
        pair.reset()


async def main() -> None:
    relay = Relay(int(sys.argv[1]))
    await relay.listen()
    print(json.dumps({"port": relay.port}), flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(await relay.command(line.decode().strip()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
