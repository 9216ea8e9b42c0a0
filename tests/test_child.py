"""Processes of our own modules."""

import subprocess
import sys
from pathlib import Path

from ecc_deploy import child


def test_it_takes_nothing_from_the_folder_that_it_is_started_in(tmp_path: Path) -> None:
    for name in ("argparse", "ecc_deploy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the folder')")
    plain = [sys.executable, "-m", "ecc_deploy.serving", "--help"]
    fooled = subprocess.run(plain, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "taken from the folder" in fooled.stderr  # so that what follows says something
    command = child.command("ecc_deploy.serving", "--help")
    ours = subprocess.run(command, cwd=tmp_path, env=child.environment(), capture_output=True, text=True, check=False)
    assert (ours.returncode, ours.stderr) == (0, "")
    assert "usage: python -m ecc_deploy.serving" in ours.stdout


def test_arguments_and_exit_codes_pass_through(tmp_path: Path) -> None:
    command = child.command("ecc_deploy.serving", str(tmp_path / "no bundle"))
    found = subprocess.run(command, env=child.environment(), capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "no bundle" in found.stderr
