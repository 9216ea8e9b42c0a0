import logging
import os
import subprocess
import sys
import warnings

import pytest

from ecc_deploy.backends.quiet import quiet


def test_nothing_is_shown_whoever_says_it(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("of Python")
        print("of Python", file=sys.stderr)
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("toolchain").warning("a log line")
        os.write(1, b"of native code\n")
        os.write(2, b"of native code\n")
        subprocess.run([sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr)"], check=True)
    assert capfd.readouterr() == ("", "")


def test_afterwards_everything_is_shown_again(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with pytest.raises(KeyError), quiet():
        raise KeyError
    print("after")
    os.write(2, b"native\n")
    assert capfd.readouterr() == ("before\nafter\n", "native\n")


def test_without_an_open_standard_error() -> None:
    code = "import os; os.close(2); from ecc_deploy.backends.quiet import quiet\nwith quiet(): print(1)\nprint(2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
