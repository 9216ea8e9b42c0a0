import json
from pathlib import Path

import pytest

from ecc_deploy.bench.schema import load_bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.data import interface
from ecc_deploy.serving import Server
from tests.bench.conftest import ToyDataset
from tests.cli.conftest import Cli, Outcome


@pytest.fixture(autouse=True)
def toy_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy bundle's manifest names its dataset."""
    monkeypatch.setitem(interface._REGISTER, "toy", lambda folder: ToyDataset())


@pytest.fixture
def benched(cli: Cli, toy_bundle: Bundle, toy_server: Server, tmp_path: Path) -> tuple[Outcome, Path]:
    path = tmp_path / "results/bench.json"
    done = cli(
        *("bench", toy_bundle.path, "--cloud", f"127.0.0.1:{toy_server.port}", "--out", path, "--warmup", 0),
        *("--samples", 12, "--seed", 4, "--arch", "edge-only", "--arch", "dynamic", "--deadline", 5000),
    )
    return done, path


def test_bench_measures_what_was_asked_for(benched: tuple[Outcome, Path]) -> None:
    done, path = benched
    assert done.code == 0
    result = load_bench(path)
    assert [arm.name for arm in result.arms] == ["edge-only", "dynamic"]
    assert [arm.samples for arm in result.arms] == [12, 12]
    assert (result.settings["seed"], result.settings["deadline_ms"]) == (4, 5000)
    assert f"ecc-deploy report {path}" in done.out


def test_bench_refuses_a_place_before_it_measures(cli: Cli, toy_bundle: Bundle, tmp_path: Path) -> None:
    done = cli("bench", toy_bundle.path, "--out", tmp_path)
    assert done.code == 2
    assert "is a folder" in done.err


def test_bench_json_is_all_of_stdout(cli: Cli, toy_bundle: Bundle, tmp_path: Path) -> None:
    done = cli(
        *("bench", toy_bundle.path, "--samples", 4, "--warmup", 0, "--arch", "edge-only", "--json"),
        *("--out", tmp_path / "bench.json"),
    )
    assert json.loads(done.out) == json.loads((tmp_path / "bench.json").read_text())


def test_report_writes_one_file(cli: Cli, benched: tuple[Outcome, Path], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = cli("report", benched[1], "--out", out, "--json")
    assert json.loads(done.out) == {"report": str(out), "benches": [str(benched[1])]}
    assert "<html" in out.read_text()[:400]


def test_report_of_something_else(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("{}")
    done = cli("report", tmp_path / "bench.json", "--out", tmp_path / "report.html")
    assert done.code == 2
    assert "is not a bench.json" in done.err
    assert not (tmp_path / "report.html").exists()
