"""Network namespaces, through the C library: Python has these calls only from 3.12 on.

Run as a script (``python -I namespace.py PATH COMMAND...``) it starts a command in the namespace that is at PATH. That
needs root, and neither this package nor any other.
"""

import ctypes
import os
import sys

CLONE_NEWNET = 0x40000000
PR_SET_TIMERSLACK = 29


def unshare() -> None:
    """Move the calling thread to a new, empty network namespace. Raises :class:`OSError`."""
    _call("unshare", ctypes.c_int(CLONE_NEWNET))


def enter(path: str) -> None:
    """Move the calling thread to the network namespace at ``path``. Raises :class:`OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", ctypes.c_int(descriptor), ctypes.c_int(CLONE_NEWNET))
    finally:
        os.close(descriptor)


def be_on_time() -> bool:
    """Let this process wake up when it asked to: no slack in timers, and before all others; False: not allowed."""
    _call("prctl", ctypes.c_int(PR_SET_TIMERSLACK), ctypes.c_ulong(1))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return False
    return True


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -I namespace.py PATH COMMAND...")
    try:
        enter(sys.argv[1])
    except OSError as error:
        sys.exit(f"the far end of the link is gone: {error}")
    os.execvp(sys.argv[2], sys.argv[2:])
