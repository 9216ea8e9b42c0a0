"""OpenVINO gives a thread a signal stack and may free it behind the thread's back; here the thread keeps its own."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from ctypes import Structure, byref, c_int, c_size_t, c_void_p

_DISABLE = 2


class _Stack(Structure):
    """``stack_t`` of Linux, sigaltstack(2)."""

    _fields_ = (("start", c_void_p), ("flags", c_int), ("size", c_size_t))


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """After the block, this thread has the alternate signal stack that it had before, or none; Linux only.

    The first use of OpenVINO's CPU plugin gives the thread another, large enough for AMX, and the plugin frees that at
    its end. Where its last reference is dropped in another thread, the garbage collector's work too, this one is left
    with freed memory: the next signal, Ctrl-C for one, ends the process with a segmentation fault (seen with 2026.4).
    Every block in which a plugin may be loaded has to be in one of these. Without an alternate stack, signals are
    handled on the thread's own, which has room for AMX too.
    """
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    before = _Stack()
    libc.sigaltstack(None, byref(before))
    try:
        yield
    finally:
        if libc.sigaltstack(byref(before), None) != 0:  # too small by now: frames grow once AMX is allowed
            libc.sigaltstack(byref(_Stack(None, _DISABLE, 0)), None)
