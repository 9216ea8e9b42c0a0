"""One direction of a link, by a clock that the test sets. Times in nanoseconds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.links.line import MAX_HELD_BYTES, Line, Shape
from ecc_deploy.links.profile import load_link

MS = 1_000_000
TEN_MBIT = Shape(ns_per_byte=800, delay_ns=10 * MS, jitter_ns=0, loss=0.0, queue_ns=100 * MS)
FAR_FUTURE = 10**15


def line(shape: Shape = TEN_MBIT, seed: int = 0) -> Line[bytes]:
    return Line(shape, random.Random(seed))


def due(one: Line[bytes]) -> list[int]:
    """When each packet that is held goes out."""
    found = []
    while (at := one.next_due) is not None:
        assert one.pop(at - 1) is None
        assert one.pop(at) is not None
        found.append(at)
    return found


def test_a_packet_takes_its_time_on_the_line_and_the_delay() -> None:
    one = line()
    assert one.push(b"a", 1000, now=5)
    assert due(one) == [5 + 1000 * 800 + 10 * MS]


def test_packets_wait_for_those_before_them() -> None:
    one = line()
    for _ in range(3):
        one.push(b"a", 1500, now=0)
    assert due(one) == [n * 1500 * 800 + 10 * MS for n in (1, 2, 3)]
    assert one.waiting_ns(0) == 3 * 1500 * 800


def test_what_would_wait_too_long_is_dropped() -> None:
    one = line(TEN_MBIT._replace(queue_ns=3 * MS))
    sent = [one.push(b"a", 1500, now=0) for _ in range(10)]
    assert sent == [True] * 3 + [False] * 7  # 1.2 ms each: the fourth would wait 3.6 ms
    assert one.dropped == 7
    assert not one.has_room(0)
    assert one.has_room(int(0.6 * MS))
    assert one.push(b"a", 1500, now=int(0.6 * MS))


def test_no_more_is_held_than_a_bound() -> None:
    one = line(Shape(0.0, 10**12, 0, 0.0, 10**12))
    size = MAX_HELD_BYTES // 4
    assert [one.push(b"", size, 0) for _ in range(5)] == [True] * 4 + [False]
    assert one.pop(FAR_FUTURE) is not None
    assert one.push(b"", size, 0)


def test_losses_are_as_frequent_as_they_should_be() -> None:
    one = line(Shape(0.0, 0, 0, 0.2, 1))
    passed = sum(one.push(b"a", 1, now=0) for _ in range(10_000))
    assert passed + one.lost == 10_000
    assert abs(one.lost - 2_000) < 200  # five standard deviations


def test_jitter_is_even_and_keeps_the_order() -> None:
    one = line(Shape(0.0, 10 * MS, 4 * MS, 0.0, MS))
    delays = []
    for n in range(2000):
        one.push(str(n).encode(), 1, now=n * 100 * MS)
        delays.append(one.next_due - n * 100 * MS)  # type: ignore[operator]
        one.pop(FAR_FUTURE)
    assert 6 * MS <= min(delays) < 6.1 * MS
    assert 13.9 * MS < max(delays) <= 14 * MS
    assert abs(sum(delays) / len(delays) - 10 * MS) < 0.3 * MS  # five standard errors
    for n in range(100):
        one.push(str(n).encode(), 1, now=FAR_FUTURE + n)
    out = [one.pop(FAR_FUTURE * 2) for _ in range(100)]
    assert out == [str(n).encode() for n in range(100)]


def test_a_new_rate_is_that_of_what_waits_too() -> None:
    one = line()
    for _ in range(2):
        one.push(b"a", 1000, now=0)  # 0.8 ms each
    one.change(TEN_MBIT._replace(ns_per_byte=1600), now=400_000)  # half of the first has been sent
    assert due(one) == [400_000 + 800_000 + 10 * MS, 400_000 + 2_400_000 + 10 * MS]
    assert one.waiting_ns(400_000) == 2_400_000


def test_a_shorter_delay_does_not_let_packets_overtake() -> None:
    one = line()
    one.push(b"a", 1000, now=0)
    one.change(TEN_MBIT._replace(delay_ns=0), now=2 * MS)
    one.push(b"b", 1000, now=2 * MS)
    assert [one.pop(FAR_FUTURE), one.pop(FAR_FUTURE)] == [b"a", b"b"]


def test_a_cut_line_passes_nothing_and_forgets_what_it_held() -> None:
    one = line()
    one.push(b"a", 1000, now=0)
    one.cut()
    assert one.next_due is None
    assert not one.push(b"b", 1000, now=1)
    assert one.dropped == 2
    one.restore()
    assert one.push(b"c", 1000, now=2)
    assert due(one) == [2 + 1000 * 800 + 10 * MS]


def test_the_shape_of_a_profile() -> None:
    profile = load_link("up=1mbit,down=8mbit,delay=20ms,jitter=2ms,loss=1%,queue=50ms")
    assert Shape.of(profile, "up") == Shape(8000, 10 * MS, 2 * MS, 0.01, 50 * MS)
    assert Shape.of(profile, "down").ns_per_byte == 1000
    assert Shape.of(profile, "up", own_ms=0.5).delay_ns == 9_750_000
    assert Shape.of(profile, "up", own_ms=30).delay_ns == 0
    assert Shape.of(profile.model_copy(update={"up_mbit": None}), "up").ns_per_byte == 0


@given(
    st.lists(st.tuples(st.integers(0, 5 * MS), st.integers(20, 1500)), min_size=1, max_size=60),
    st.integers(0, 3 * MS),
    st.floats(0, 5000),
)
def test_the_line_is_never_quicker_than_its_rate_and_keeps_the_order(
    arrivals: list[tuple[int, int]], jitter: int, other_rate: float
) -> None:
    shape = Shape(800, 3 * MS, jitter, 0.0, 10**12)
    one = line(shape)
    now = 0
    for index, (gap, size) in enumerate(arrivals):
        now += gap
        if index == len(arrivals) // 2:
            one.change(shape._replace(ns_per_byte=max(800.0, other_rate)), now)
        one.push(bytes([index]), size, now)
    out = []
    last = 0
    while (at := one.next_due) is not None:
        assert at >= last
        last = at
        out.append(one.pop(at))
    assert out == [bytes([index]) for index in range(len(arrivals))]
    assert last >= sum(size for _, size in arrivals) * 800 + 3 * MS - jitter


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_loses_the_same(seed: int) -> None:
    shape = Shape(0.0, 0, 0, 0.5, 1)
    first, second = line(shape, seed), line(shape, seed)
    assert [first.push(b"", 1, 0) for _ in range(50)] == [second.push(b"", 1, 0) for _ in range(50)]
