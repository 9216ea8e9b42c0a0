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


def test_bench_measures_further_series_and_keeps_the_run(
    cli: Cli, toy_bundle: Bundle, toy_server: Server, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    done = cli(
        *("bench", toy_bundle.path, "--cloud", f"127.0.0.1:{toy_server.port}", "--out", tmp_path / "bench.json"),
        *("--samples", 6, "--warmup", 0, "--arch", "adaptive", "--deadline", 5000),
        *("--idle", "0.01", "--cold", 1, "--store", store, "--budget", 5),
    )
    assert done.code == 0
    (kept,) = store.iterdir()
    assert str(kept) in done.err
    assert load_bench(kept) == load_bench(tmp_path / "bench.json")
    (arm,) = load_bench(kept).arms
    assert arm.cold is not None
    assert [point.gap_s for point in arm.idle] == [0.01]
    for text in ("First offload after a gap", "Cold start", "no gap"):
        assert text in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--idle", "1s"], "not numbers"),
        (["--scenario", "nonsense"], "no scenario 'nonsense'"),
        (["--scenario", "fixed-rate"], "queries per second"),
        (["--link", "carrier-pigeon"], "no link named"),
        (["--link", "lte", "--link-method", "magic"], "no method 'magic'"),
        (["--link", "lte", "--device", "pi@nowhere"], "the link to a device is the real one"),
        (["--store", "{file}"], "is a file"),
    ],
)
def test_bench_refuses_what_makes_no_sense_and_writes_nothing(
    cli: Cli, toy_bundle: Bundle, tmp_path: Path, options: list[str], said: str
) -> None:
    (tmp_path / "file").touch()
    given = [option.format(file=tmp_path / "file") for option in options]
    done = cli("bench", toy_bundle.path, "--out", tmp_path / "bench.json", *given)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "bench.json").exists()


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
