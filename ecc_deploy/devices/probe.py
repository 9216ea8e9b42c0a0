"""How ecc-deploy is found on a device, and started: one line for the device's shell, whatever shell that is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ecc_deploy.devices.destination import Destination
from ecc_deploy.devices.frames import shown
from ecc_deploy.errors import DeviceError, EccError

VENV = "$HOME/.ecc-deploy/venv"
"""Where `--device-install` puts it."""
MARK = "ecc-deploy-probe "
NOT_FOUND = 86
"""Exit code of the probe where it found nothing to start."""

# As `python -P -m`, which Python 3.10 does not know: ssh starts in the user's home, whose files are no modules of ours.
_RUN = (
    "import runpy, sys; sys.path[:] = [path for path in sys.path if path]; "
    'runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)'
)
_CHECK = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "sys.version_info < (3, 10) and sys.exit(1); from importlib.util import find_spec as find; "
    'sys.exit(0 if find("ecc_deploy") and find("ecc_deploy.devices") else 3 if find("ecc_deploy") else 2)'
)
# One line, no exclamation mark, no single quote: csh and fish pass it on to sh as it is.
_SCRIPT = (
    "run=$1; check=$2; module=$3; "
    'if [ -n "$4" ]; then set -- "$4"; else '
    'PATH=$PATH:$HOME/.local/bin; own=$(command -v ecc-deploy); own=$(readlink -f "$own" 2>/dev/null || echo "$own"); '
    f'set -- "${{own%/*}}/python3" "{VENV}/bin/python3" python3; fi; '
    'for python; do command -v "$python" >/dev/null 2>&1 || continue; '
    '"$python" -c "$check" >/dev/null 2>&1 </dev/null; state=$?; '
    'if [ $state = 0 ]; then exec "$python" -c "$run" "$module"; fi; '
    f'echo "{MARK}$state $python"; done; echo "{MARK}end"; exit {NOT_FOUND}'
)


def agent_command(python: str | None) -> str:
    """The line that starts the agent with ``python``; ``None``: with the first one found that has ecc-deploy."""
    words = ("sh", "-c", _SCRIPT, "sh", _RUN, _CHECK, "ecc_deploy.devices.agent", python or "")
    return "exec " + " ".join(map(shlex.quote, words))


def nothing_found(destination: Destination, lines: Sequence[str], python: str | None, extra: str) -> EccError:
    """The error for what the probe printed instead of starting the agent. ``extra``: that the bundle's target needs."""
    install = (
        "Let it be installed there: add --device-install WHEEL (`make wheel` builds one). Or by hand: "
        f"{destination.command} 'python3 -m venv ~/.ecc-deploy/venv && "
        f'~/.ecc-deploy/venv/bin/pip install "ecc-deploy[{extra}]"\''
    )
    states = [line[len(MARK) :].split(" ", 1) for line in lines if line.startswith(MARK)]
    tried = {parts[0]: shown(parts[1]) for parts in states if len(parts) == 2}
    if "3" in tried:
        return DeviceError(f"the ecc-deploy of {tried['3']} on {destination} is too old to be used from here", install)
    if "2" in tried:
        return DeviceError(f"{destination} has no ecc-deploy (looked with {tried['2']})", install)
    if tried:
        which = next(iter(tried.values()))
        return DeviceError(
            f"{which} on {destination} is no Python 3.10 or newer that works",
            "Install one there, or name another: --device-python /path/to/python3",
        )
    if python is not None:
        return DeviceError(f"there is no {python} on {destination}", "Give the path of the right --device-python.")
    return DeviceError(
        f"{destination} has no Python: neither ecc-deploy nor python3 is found there",
        f"On Debian, Ubuntu and Raspberry Pi OS: {destination.command} 'sudo apt install python3 python3-venv'",
    )
