"""The device's program lives as long as the other end holds its stdin, and shows signs of life.

The connection may also break without an end of stdin: a cable pulled, a laptop asleep. sshd would notice after hours,
so the other end says something every few seconds, and silence is an end too.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import threading
from types import FrameType

from ecc_deploy.devices.frames import CHUNK_BYTES, Frame, FrameReader, ProtocolError

PING_INTERVAL_S = 10.0
SILENCE_S = 60.0
"""After which the other end counts as gone."""
_IDLE_S, _GRACE_S = 0.5, 5.0
_WAITING = 8  # frames that were read and not yet taken: of files, 2 MiB


class Lifeline:
    """Reads frames from the file descriptor ``handle`` in a thread of its own.

    When they end, the main thread gets ``None``; where it is at work, it is interrupted as by Ctrl-C, and if that does
    not end it within five seconds, the process group is killed, so that children go with it.
    """

    def __init__(self, handle: int, *, silence_s: float = SILENCE_S) -> None:
        self._handle = handle
        self._silence_s = silence_s
        self._frames: queue.Queue[Frame | None] = queue.Queue(_WAITING)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """To be called from the main thread, in a process that leads its own group."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        self._thread.start()

    def next(self) -> Frame | None:
        """The next frame that asks for something; ``None`` at the end."""
        return self._frames.get()

    def over(self) -> None:
        """The main thread is through: it is not to be interrupted any more."""
        self._over.set()

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._handle], [], [], self._silence_s)
        return os.read(self._handle, 65536) if ready else b""

    def _follow(self) -> None:
        reader = FrameReader(self._read, max_body_bytes=max(CHUNK_BYTES, 4 << 20))
        with contextlib.suppress(ProtocolError, OSError):
            while (frame := reader.frame()) is not None:
                if frame.kind != "ping":
                    self._frames.put(frame)
        with contextlib.suppress(queue.Full):
            self._frames.put_nowait(None)
        if self._over.wait(_IDLE_S):
            return
        os.kill(os.getpid(), signal.SIGINT)
        if not self._over.wait(_GRACE_S):
            os.killpg(0, signal.SIGKILL)


def lead_own_group() -> None:
    """Become the leader of a process group, so that killing it kills nobody else's processes."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


def end_group() -> None:
    """Kill what is left of the group, this process included."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
