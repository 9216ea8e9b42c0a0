"""The command behind `make reproduce-cifar10`, on a small system."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "headline.py"
MADE = {"headline.json", "evaluation.json", "curves.html", "bench.json", "report.html"}


def headline(*arguments: object) -> subprocess.CompletedProcess:
    few = ("--image-codecs", "raw,png", "--samples", 20, "--offload-rate", 0.3)
    command = [sys.executable, SCRIPT, *arguments, *few]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess, Path]:
    out = tmp_path_factory.mktemp("headline") / "first"
    return headline(tiny_run, "--out", out), out


def test_it_measures_and_leaves_everything(first: tuple[subprocess.CompletedProcess, Path]) -> None:
    done, out = first
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} > MADE
    facts = json.loads((out / "headline.json").read_text())
    names = [row["name"] for row in next(iter(facts["seeds"].values()))]
    assert {"edge-only", "cloud-only/png", "independent", "adaptive", "dynamic"} <= set(names)
    assert facts["environment"]["versions"]["onnxruntime"]
    assert "the compiled halves" in done.stdout
    assert "20 test images" in done.stdout


def test_it_compares_with_what_was_published(
    first: tuple[subprocess.CompletedProcess, Path], tiny_run: Path, tmp_path: Path
) -> None:
    _, out = first
    facts = json.loads((out / "headline.json").read_text())
    (rows,) = facts["seeds"].values()
    altered = next(row for row in rows if row["name"] == "dynamic")
    altered["accuracy"] += 0.02
    published = tmp_path / "published.json"
    published.write_text(json.dumps(facts))
    done = headline(tiny_run, "--out", tmp_path / "again", "--published", published)
    assert done.returncode == 1, done.stderr
    assert f"1 of {len(rows)} rows differ" in done.stdout
    assert [line for line in done.stdout.splitlines() if "differs" in line and " dynamic " in line]


def test_mistakes_exit_with_2(tiny_run: Path, tmp_path: Path) -> None:
    for arguments, text in (
        ([tmp_path, "--out", tmp_path / "a"], "is not a run directory"),
        ([tiny_run, "--out", tmp_path / "a", "--published", tmp_path / "none.json"], "cannot be read"),
    ):
        done = headline(*arguments)
        assert done.returncode == 2
        assert text in done.stderr
        assert "Traceback" not in done.stderr
