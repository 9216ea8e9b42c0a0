"""Page faults tell whether memory is asked for anew; they are counted in processes of their own, without torch."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from ecc_deploy.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def use():
    [np.ones(2 << 20) for _ in range(4)]  # 64 MiB, gone again
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, what], capture_output=True, text=True, check=True, env={})
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc is left as it is")
def test_freed_memory_is_used_again() -> None:
    assert faults("keep") * 20 < faults("leave")


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from ecc_deploy.training import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
