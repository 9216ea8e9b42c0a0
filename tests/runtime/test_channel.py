"""A connection on which nothing comes back is given up; one that is merely slow, or gone, is not."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from ecc_deploy.runtime.channel import MISSES, PATIENCE_S, SILENCE_S, LivelyChannel, Method

OK, LATE = grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED


class EndedError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Call:
    """A call under way, ended by :meth:`end`."""

    def __init__(self) -> None:
        self.callback: Callable[[Any], None] | None = None
        self._code: grpc.StatusCode | None = None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.callback = callback

    def cancelled(self) -> bool:
        return self._code is None

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def end(self, code: grpc.StatusCode | None) -> None:
        self._code = code
        assert self.callback is not None
        self.callback(self)


class Channel:
    """Ends each call as it was told to."""

    def __init__(self, ends: list[grpc.StatusCode]) -> None:
        self.ends = ends
        self.is_closed = False

    def unary_unary(self, name: str, **serializers: Any) -> Any:
        def call(request: Any, **options: Any) -> str:
            if self.is_closed:
                raise ValueError("closed")
            code = self.ends.pop(0)
            if code != OK:
                raise EndedError(code)
            return "answer"

        call.future = lambda request, **options: Call()  # type: ignore[attr-defined]
        return call

    def close(self) -> None:
        self.is_closed = True


class World:
    """A lively channel, the channels that it made, how calls end, and the time."""

    def __init__(self) -> None:
        self.now, self.ends = 100.0, list[grpc.StatusCode]()
        self.made: list[Channel] = []
        self.channel = LivelyChannel(self._make, lambda: self.now)
        self.method: Method = self.channel.unary_unary("/x")

    def _make(self) -> Any:
        self.made.append(Channel(self.ends))
        return self.made[-1]

    def call(self, *codes: grpc.StatusCode, after_s: float = 0.0) -> None:
        for code in codes:
            self.now += after_s
            self.ends.append(code)
            if code == OK:
                assert self.method(b"") == "answer"
                continue
            with pytest.raises(EndedError) as raised:
                self.method(b"")
            assert raised.value.code() == code


@pytest.fixture
def world() -> World:
    return World()


def test_deadlines_in_a_row_open_another_connection(world: World) -> None:
    world.call(OK)
    world.call(*[LATE] * MISSES, after_s=SILENCE_S)
    assert len(world.made) == 1, "nothing is done before it is needed"
    world.call(OK)
    assert [channel.is_closed for channel in world.made] == [True, False]


def test_too_few_or_too_soon_is_slowness(world: World) -> None:
    world.call(OK, *[LATE] * 20, OK)
    world.call(*[LATE] * (MISSES - 1), after_s=10 * SILENCE_S)
    world.call(OK, *[LATE] * (MISSES - 1), OK)
    assert len(world.made) == 1


@pytest.mark.parametrize(
    "word", [OK, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE]
)
def test_any_word_in_between_is_life(world: World, word: grpc.StatusCode) -> None:
    world.call(OK)
    for _ in range(5):
        world.call(*[LATE] * (MISSES - 1), word, after_s=SILENCE_S)
    assert len(world.made) == 1


def test_a_connection_that_is_being_made_has_longer(world: World) -> None:
    world.call(grpc.StatusCode.UNAVAILABLE)
    world.call(*[LATE] * MISSES, LATE, after_s=SILENCE_S)
    assert len(world.made) == 1
    world.call(LATE, OK, after_s=PATIENCE_S)
    assert len(world.made) == 2


def test_calls_under_way_are_not_cut_short(world: World) -> None:
    world.call(OK)
    under_way, cancelled = world.method.future(b""), world.method.future(b"")
    world.call(*[LATE] * MISSES, after_s=SILENCE_S)
    world.call(OK, OK, OK)
    assert [channel.is_closed for channel in world.made] == [False, False]
    under_way.end(LATE)
    world.call(OK)
    assert not world.made[0].is_closed
    cancelled.end(None)
    world.call(OK)
    assert [channel.is_closed for channel in world.made] == [True, False]


def test_futures_are_looked_at_too(world: World) -> None:
    for _ in range(MISSES):
        call = world.method.future(b"")
        world.now += PATIENCE_S
        call.end(LATE)
    world.call(OK)
    assert len(world.made) == 2


def test_closed_is_closed(world: World) -> None:
    world.call(OK)
    world.call(*[LATE] * MISSES, after_s=SILENCE_S)
    world.channel.close()
    world.channel.close()
    with pytest.raises(ValueError, match="closed"):
        world.method(b"")
    assert [channel.is_closed for channel in world.made] == [True]
