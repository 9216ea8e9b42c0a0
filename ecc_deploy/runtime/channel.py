"""A gRPC channel that does not trust a connection on which nothing comes back any more.

A connection can be dead without either end being told: a router forgot it, the device changed networks, or what came
was no HTTP/2 and said that sixteen megabytes of it follow. gRPC would send requests into it until TCP gives up, which
takes a quarter of an hour. Probes (keepalive) cost bytes on the link, and servers of others answer frequent ones by
hanging up. So what is looked at is what is there anyway: requests whose deadline passes, one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from ecc_deploy.closing import Closing

MISSES = 3
"""So many deadlines passed in a row, with not a word from the server in between, not even a refusal, ..."""
SILENCE_S = 1.0
"""... in at least so many seconds, and the next request opens another connection."""
PATIENCE_S = 5.0
"""The same of a connection that never gave an answer: it may be a slow one that is still being made."""


class _Line:
    """One channel, and how it does."""

    def __init__(self, channel: grpc.Channel, now: float) -> None:
        self.channel = channel
        self.methods: dict[str, Any] = {}
        self.under_way = 0
        self.misses = 0
        self.heard = now
        self.has_answered = False

    def is_dead(self, now: float) -> bool:
        silence = SILENCE_S if self.has_answered else PATIENCE_S
        return self.misses >= MISSES and now - self.heard >= silence


class LivelyChannel(Closing):
    """The unary calls of the channels that ``make`` makes, one at a time; safe to call from threads.

    Calls under way on a channel that was given up end as they would have: it is closed when the last has.
    """

    def __init__(self, make: Callable[[], grpc.Channel], clock: Callable[[], float] = time.monotonic) -> None:
        self._make, self._clock = make, clock
        self._lock = threading.Lock()
        self._line = _Line(make(), clock())
        self._given_up: list[_Line] = []
        self._is_closed = False

    def unary_unary(self, method: str, **serializers: Any) -> Method:
        """As gRPC's own, by keywords."""
        return Method(self, method, serializers)

    def take(self) -> _Line:
        """The line for one call, to be given to :meth:`note` when it has ended."""
        with self._lock:
            if not self._is_closed and self._line.is_dead(self._clock()):
                self._given_up.append(self._line)
                self._line = _Line(self._make(), self._clock())
            over = [line for line in self._given_up if not line.under_way]
            self._given_up = [line for line in self._given_up if line.under_way]
            self._line.under_way += 1
            taken = self._line
        for line in over:  # not by whoever ended its last call: that may be gRPC's own thread
            line.channel.close()
        return taken

    def note(self, line: _Line, code: grpc.StatusCode | None) -> None:
        """One call on ``line`` has ended, by ``code``; ``None``: it was cancelled, or never begun."""
        with self._lock:
            line.under_way -= 1
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                line.misses += 1
            elif code is not None:
                line.misses, line.heard = 0, self._clock()
                line.has_answered = line.has_answered or code != grpc.StatusCode.UNAVAILABLE

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            lines = [*self._given_up, self._line]
            self._given_up = []
        for line in lines:
            line.channel.close()


class Method:
    """One remote procedure: called as gRPC's own, on the line that is alive."""

    def __init__(self, channel: LivelyChannel, name: str, serializers: dict[str, Any]) -> None:
        self._channel, self._name, self._serializers = channel, name, serializers

    def __call__(self, request: Any, **options: Any) -> Any:
        """The response. Raises :class:`grpc.RpcError`, or ValueError where the channel was closed."""
        line, code = self._channel.take(), None
        try:
            response = self._on(line)(request, **options)
            code = grpc.StatusCode.OK
            return response
        except grpc.RpcError as error:
            code = error.code()
            raise
        finally:
            self._channel.note(line, code)

    def future(self, request: Any, **options: Any) -> Any:
        """The call under way. Raises ValueError where the channel was closed."""
        line = self._channel.take()
        try:
            call = self._on(line).future(request, **options)
        except BaseException:
            self._channel.note(line, None)
            raise
        call.add_done_callback(lambda done: self._channel.note(line, None if done.cancelled() else done.code()))
        return call

    def _on(self, line: _Line) -> Any:
        method = line.methods.get(self._name)
        if method is None:
            method = line.methods[self._name] = line.channel.unary_unary(self._name, **self._serializers)
        return method
