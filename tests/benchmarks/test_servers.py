"""The command that loads servers side by side; here with our own alone, for a moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ecc_deploy.bundle import Bundle

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "servers.py"


def servers(folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    quick = ("--rounds", 1, "--seconds", 0.3, "--clients", 3, "--json")
    return subprocess.run(
        list(map(str, [sys.executable, SCRIPT, *arguments, *quick])),
        capture_output=True,
        text=True,
        env={**os.environ, "ECC_DEPLOY_SERVERS": str(folder)},
    )


def test_it_measures_our_own_server_beside_the_engine(toy_bundle: Bundle, tmp_path: Path) -> None:
    done = servers(tmp_path, toy_bundle.path, "--only", "embedded")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["servers"]) == {"engine", "embedded"}
    for row in found["servers"].values():
        rate = row["requests_per_second"]
        assert row["requests"] >= 2
        assert 0 < rate["least"] <= rate["median"] + 0.1  # each is rounded
        assert rate["median"] <= rate["most"] + 0.1
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"]
        assert row["rss_mb"] > 10
    assert found["environment"]
    assert found["bundle"]["pair_id"] == toy_bundle.manifest.pair_id


def test_a_server_that_is_not_there_is_no_success(toy_bundle: Bundle, tmp_path: Path) -> None:
    done = servers(tmp_path, toy_bundle.path, "--only", "ray")
    assert done.returncode == 1
    assert "ray IS NOT MEASURED" in done.stderr
    found = json.loads(done.stdout)
    assert (found["accepted"], found["not_measured"]) == (False, ["ray"])


def test_mistakes(toy_bundle: Bundle, tmp_path: Path) -> None:
    assert servers(tmp_path, tmp_path).returncode == 2
    done = servers(tmp_path, toy_bundle.path, "--deployment", "edge-only")
    assert done.returncode == 2
    assert "no deployment 'edge-only' with a cloud half" in done.stderr
