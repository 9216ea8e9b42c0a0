"""The event loop of this process's servers, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_starting = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def serving_loop() -> asyncio.AbstractEventLoop:
    """The one loop, started when it is first asked for; it lives as long as the process.

    One for all servers, however often they come and go: gRPC polls in one place for all loops of a process, and wakes
    all of them for what concerns one.
    """
    global _loop
    with _starting:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="ecc-serve", daemon=True).start()
        return _loop


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Have ``work`` done on the loop and wait for what comes of it. Not to be called on the loop itself."""
    return asyncio.run_coroutine_threadsafe(work, serving_loop()).result()
