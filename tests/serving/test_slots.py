import threading
import time

import pytest

from ecc_deploy.serving.slots import QueueFullError, Slots


def wait_until(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen in 10 seconds"
        time.sleep(0.001)


def test_no_more_than_its_count_work_at_a_time() -> None:
    slots, busy, most, lock = Slots(3, max_queue=40), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal busy, most
        for _ in range(20):
            assert slots.acquire()
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0)
            with lock:
                busy -= 1
            slots.release()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert 1 <= most <= 3
    assert [slots.acquire(0.001) for _ in range(4)] == [True, True, True, False]


def test_a_full_queue_refuses_at_once_and_a_freed_place_is_used_again() -> None:
    slots = Slots(1, max_queue=1)
    slots.acquire()
    waiter = threading.Thread(target=slots.acquire)
    waiter.start()
    wait_until(lambda: slots.waiting == 1)
    with pytest.raises(QueueFullError):
        slots.acquire()
    slots.release()
    waiter.join(10)
    assert slots.waiting == 0
    assert slots.acquire(0.001) is False


def test_without_a_queue_only_the_slots_count() -> None:
    slots = Slots(1, max_queue=0)
    assert slots.acquire()
    with pytest.raises(QueueFullError):
        slots.acquire()
    slots.release()
    assert slots.acquire()


def test_first_come_first_served() -> None:
    slots, order = Slots(1, max_queue=8), []
    slots.acquire()

    def work(number: int) -> None:
        slots.acquire()
        order.append(number)
        slots.release()

    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        wait_until(lambda n=number: slots.waiting == n + 1)
    slots.release()
    for thread in threads:
        thread.join(10)
    assert order == list(range(6))


def test_who_gives_up_leaves_the_queue_and_takes_no_slot() -> None:
    slots = Slots(1, max_queue=1)
    slots.acquire()
    assert slots.acquire(timeout=0.01) is False
    assert slots.waiting == 0
    slots.release()
    assert slots.acquire(timeout=0.01) is True


def test_a_wait_without_end_is_no_error() -> None:
    slots = Slots(1, max_queue=1)
    slots.acquire()
    threading.Timer(0.02, slots.release).start()
    assert slots.acquire(timeout=1e300) is True
