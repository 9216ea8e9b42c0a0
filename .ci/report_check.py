"""The report in headless Chromium: script errors, requests, overflow, contrast, controls. Pictures go to ``.report``.

Takes the Chromium of the system (``ECC_DEPLOY_CHROMIUM`` names another one), or installs it by apt where it may.

    python .ci/report_check.py            # exit code 0: as it should be, or SKIPPED with a reason; 1: not
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / ".report"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT_TIMEOUT_S = 300


def find() -> str | None:
    """A Chromium that is here."""
    named = os.environ.get("ECC_DEPLOY_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def install() -> str | None:
    """By apt, as root; ``None`` where that cannot be."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    print("Installing Chromium by apt", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
        try:
            subprocess.run(
                ["apt-get", "-q", *words], env=environment, check=True, capture_output=True, timeout=APT_TIMEOUT_S
            )
        except (subprocess.SubprocessError, OSError) as error:
            print(f"apt-get {words[0]}: {error}", flush=True)
            return None
    return find()


def main() -> int:
    if importlib.util.find_spec("playwright") is None:
        return _skipped("playwright is not installed: pip install -e '.[dev]'")
    chromium = find() or install()
    if chromium is None:
        return _skipped("there is no Chromium here, and no way to install it: apt install chromium")
    PICTURES.mkdir(exist_ok=True)
    environment = {**os.environ, "ECC_DEPLOY_CHROMIUM": chromium, "ECC_DEPLOY_SCREENSHOTS": str(PICTURES)}
    tests = ROOT / "tests" / "report" / "test_browser.py"
    return subprocess.run([sys.executable, "-m", "pytest", str(tests)], cwd=ROOT, env=environment).returncode


def _skipped(reason: str) -> int:
    print(f"SKIPPED: the report was not opened in a browser: {reason}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
