"""What the C library does with memory that a training step frees."""

from __future__ import annotations

import ctypes

# Of malloc.h of glibc.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST_FROM_HEAP = 32 << 20  # the most that glibc takes for its mmap threshold on 64 bits
_KEPT_AT_TOP = 256 << 20


def keep_freed_memory() -> bool:
    """Have this process keep what it frees, for its next allocation; returns whether the C library could be told.

    A training step allocates and frees every activation. By default glibc gives large blocks back to the kernel and
    asks for them again in the next step, and every page of them is then zeroed and mapped anew: 4 to 17 % of a step,
    as measured on two models on one CPU (benchmarks/training_step.py measures it). The process stays as large as it
    once was. For a process that trains, and does little else; other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST_FROM_HEAP), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, _KEPT_AT_TOP))
    taken = [mallopt(option, value) == 1 for option, value in settings]
    return all(taken)
