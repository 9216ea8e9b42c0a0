"""``train --sweep`` and ``export --pick``: what they hand on and show; the rest is tested in ``tests/sweep``."""

import json
from pathlib import Path
from typing import Any

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
from ecc_deploy.sweep.result import SWEEP_FILE, Failure, Sweep, save
from ecc_deploy.sweep.study import Standing
from ecc_deploy.sweep.summary import summarise
from tests.cli.conftest import Cli
from tests.sweep import toy

TABLE = {"parameters": {"adapter.bits": [2, 4], "seed": [1, 2]}}


def found(*failures: Failure) -> Sweep:
    sweep = toy.sweep(TABLE)
    settings = [sweep.setting(params) for params in sweep.grid()]
    measured = [toy.measured(0.8 + 0.01 * s.recipe.adapter.bits, 20.0 * s.recipe.adapter.bits) for s in settings]
    return summarise(sweep, Standing(list(zip(settings, measured, strict=True)), list(failures), 1, 0))


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the verb asked :func:`run_sweep` for."""
    asked: dict[str, Any] = {}

    def run_sweep(recipe: str, out: Path, **options: Any) -> Sweep:
        asked.update(options, recipe=recipe, out=out)
        return found(Failure(variant=None, changes={"seed": 3}, error="too large"))

    monkeypatch.setattr(ecc_deploy, "run_sweep", run_sweep, raising=False)
    return asked


def test_the_table_marks_the_front(cli: Cli, swept: dict[str, Any], tmp_path: Path) -> None:
    done = cli("train", "mine.toml", "--sweep", "--out", tmp_path, "--threads", 2, "--device", "cpu")
    assert done.code == 0
    del swept["progress"]
    assert swept == {"recipe": "mine.toml", "out": tmp_path, "threads": 2, "device": "cpu"}
    rows = [line for line in done.out.splitlines() if "ECC-" in line and "seed =" in line]
    marked = {line.split("adapter.bits = ")[1].strip() for line in rows if "●" in line}
    assert len(rows) == 4 * 7
    assert "2, seed = 1" in marked
    assert "82.00 ± 0.00" in done.out
    assert "5 of 6 settings are done; other processes work at 1" in done.out
    assert f"ecc-deploy export {tmp_path} --pick 'bytes<=80, top1>=85' --out BUNDLE" in done.out
    assert "seed = 3 failed: too large" in done.err


def test_json_is_all_of_stdout(cli: Cli, swept: dict[str, Any], tmp_path: Path) -> None:
    facts = json.loads(cli("train", "mine.toml", "--sweep", "--out", tmp_path, "--json").out)
    assert len(facts["points"]) == 4 * 7
    assert {"accuracy", "payload_bytes", "on_front"} <= set(facts["points"][0])


def test_a_sweep_is_not_begun_anew(cli: Cli, swept: dict[str, Any], tmp_path: Path) -> None:
    done = cli("train", "mine.toml", "--sweep", "--restart", "--out", tmp_path)
    assert (done.code, swept) == (2, {})
    assert "exclude each other" in done.err


def test_a_sweep_without_the_option_is_told(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "fashion-mnist-sweep", "--out", tmp_path / "out")
    assert done.code == 2
    assert "Add --sweep" in done.err
    assert not (tmp_path / "out").exists()


def test_mistakes_in_a_sweep_are_told_before_anything_is_written(cli: Cli, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(toy.text({"parameters": {"adapter.bit": [2]}}))
    done = cli("train", recipe, "--sweep", "--out", tmp_path / "out")
    assert done.code == 2
    assert "Nearest: bits" in done.err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle, tmp_path: Path) -> dict[str, Any]:
    """What the verb asked :func:`export_bundle` for, of the sweep in ``tmp_path``."""
    save(tmp_path / SWEEP_FILE, found())
    seen: dict[str, Any] = {}

    def export_bundle(run: str, out: Path, **options: Any) -> Bundle:
        seen.update(options, run=run, out=out)
        return toy_bundle

    monkeypatch.setattr(ecc_deploy, "export_bundle", export_bundle, raising=False)
    return seen


@pytest.mark.parametrize(
    ("constraints", "name", "bits", "rate"),
    [
        ("bytes<=64", "ECC-A fused", 2, None),
        ("top1>=84", "ECC-A fused", 4, None),
        ("bytes<=10", "ECC-D 20 %", 2, 0.2),
        ("offload_rate<=0.1", "ECC-D 10 %", 4, 0.1),
    ],
)
def test_pick_exports_the_trial_at_the_points_rate(
    cli: Cli, asked: dict[str, Any], tmp_path: Path, constraints: str, name: str, bits: int, rate: float | None
) -> None:
    done = cli("export", tmp_path, "--pick", constraints, "--out", tmp_path / "bundle")
    assert done.code == 0
    assert f"Picked {name} of adapter.bits = {bits}, seed = 1: top1 " in done.err
    chosen = found().trial(Path(asked["run"]).name)
    assert chosen.changes["adapter.bits"] == bits
    assert asked["run"] == str(tmp_path / chosen.run)
    assert asked["offload_rate"] == rate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pick", "bytes<=0.1"), "the nearest:"),
        (("--pick", "size<=64"), "no metric 'size'"),
        (("--pick", "bytes<=64", "--offload-rate", "0.1"), "chooses the offload rate too"),
        (("--pick", "bytes<=64", "--min-accuracy", "0.9"), "chooses the offload rate too"),
    ],
)
def test_what_cannot_be_picked(
    cli: Cli, asked: dict[str, Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = cli("export", tmp_path, *arguments, "--out", tmp_path / "bundle")
    assert (done.code, asked) == (2, {})
    assert message in done.err


def test_pick_wants_a_sweep(cli: Cli, asked: dict[str, Any], tiny_run: Path, tmp_path: Path) -> None:
    done = cli("export", tiny_run, "--pick", "bytes<=64", "--out", tmp_path / "bundle")
    assert (done.code, asked) == (2, {})
    assert "is not the folder of a sweep" in done.err
