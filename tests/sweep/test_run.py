"""Real trainings of the tiny system, shared, killed, and gone on from."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from ecc_deploy.errors import RunError, UsageError
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.sweep.recipe import parse_sweep
from ecc_deploy.sweep.result import Sweep, load_sweep
from ecc_deploy.sweep.run import run_sweep
from ecc_deploy.training.checkpoint import FILE
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from tests.sweep import toy

LONG = {**toy.ADAPTER, "epochs": 3, "batch": 100}


def states(folder: Path) -> Counter[int]:
    """How often Optuna's journal says that a trial is complete (1) or failed (3)."""
    lines = [json.loads(line) for line in (folder / "optuna.log").read_text().splitlines()]
    return Counter(line["state"] for line in lines if line["op_code"] == 6 and line["state"] > 0)


def test_processes_share_a_sweep_and_one_that_is_killed_is_gone_on_from(tiny_run: Path, tmp_path: Path) -> None:
    text = toy.text({"parameters": {"seed": [1, 2]}}, init=str(tiny_run), phases=[LONG])
    file, out = tmp_path / "sweep.toml", tmp_path / "out"
    file.write_text(text)
    command = [sys.executable, "-m", "ecc_deploy", "train", str(file), "--sweep", "--threads", "1", "--out", str(out)]

    def worker() -> subprocess.Popen[str]:
        quiet = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed = worker()
    deadline = time.monotonic() + 120
    while not (begun := list(out.glob(f"trials/*/{FILE}"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (begun[0].parent / "val.json").exists()
    stood = begun[0].read_bytes()

    others = [worker(), worker()]
    ended = [process.communicate(timeout=240) for process in others]
    assert [process.returncode for process in others] == [0, 0], ended
    assert any("2 of 2 settings are done" in out for out, _ in ended)
    found = load_sweep(out)
    assert len({trial.key for trial in found.trials}) == 2
    assert (found.finished, found.running, found.waiting, found.failures) == (2, 0, 0, [])
    assert states(out) == {1: 2, 3: 1}  # each setting once; what the killed worker had begun was taken from it
    assert not list(out.glob(f"trials/*/{FILE}"))

    # The epochs before the kill were not trained again: their measured durations are those of the checkpoint.
    recipe = load_run(begun[0].parent).recipe
    before = json.loads(torch.load(io.BytesIO(stood), weights_only=True)["history"])
    after = load_run(begun[0].parent).metrics["epochs"]
    assert 1 <= len(before) < 3
    assert after[: len(before)] == before
    train(recipe, tmp_path / "whole", threads=1)
    weights = [folder / "system.safetensors" for folder in (begun[0].parent, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.fixture(scope="module")
def swept(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Sweep]:
    """Two seeds, and a variant whose batch is larger than the data."""
    table = {
        "variants": [{"name": "plain"}, {"name": "huge", "set": {"phases.adapter.batch": 4000}}],
        "parameters": {"seed": [1, 2]},
    }
    text = toy.text(table, init=str(tiny_run), phases=[toy.ADAPTER])
    out = tmp_path_factory.mktemp("sweep") / "out"
    return text, out, run_sweep(parse_sweep(text, "tiny.toml"), out, threads=1)


def test_what_is_found_is_what_evaluate_says_of_val(swept: tuple[str, Path, Sweep]) -> None:
    _, out, found = swept
    assert load_sweep(out) == found
    trial = found.trials[0]
    judged = evaluate(out / trial.run, part="val", offload_rate=0.1, image_codecs=())
    assert trial.edge_accuracy == judged.row("edge-only").accuracy
    points = {point.name: point for point in found.points if point.trial == trial.key}
    for name, row in (("ECC-A", "adaptive"), ("ECC-A fused", "adaptive, fused"), ("ECC-D 10 %", "dynamic")):
        for figure in ("accuracy", "offload_rate", "edge_macs", "cloud_macs", "payload_bytes"):
            assert getattr(points[name], figure) == pytest.approx(getattr(judged.row(row), figure)), (name, figure)
    assert found.dataset == "fashion-mnist-sample"
    assert found.ablation[0].seeds == [1, 2]


def test_what_fails_does_not_end_the_others(swept: tuple[str, Path, Sweep]) -> None:
    _, _, found = swept
    assert [failure.title for failure in found.failures] == ["huge, seed = 1", "huge, seed = 2"]
    assert "batches of 4000" in found.failures[0].error
    assert [trial.title for trial in found.trials] == ["plain, seed = 1", "plain, seed = 2"]


def test_finished_trials_are_not_trained_again_even_without_the_journal(
    swept: tuple[str, Path, Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, out, found = swept
    (out / "optuna.log").unlink()
    (out / found.trials[1].run / "val.json").unlink()
    trained = []
    monkeypatch.setattr("ecc_deploy.sweep.run.train", lambda recipe, *_, **__: trained.append(recipe.phases[0].batch))
    again = run_sweep(parse_sweep(text, "tiny.toml"), out, threads=1)
    assert set(trained) == {4000}  # those that failed; the trained one whose val.json is gone is evaluated again
    assert again.trials == found.trials
    assert again.points == found.points


def test_where_everything_fails_the_first_reason_is_told(tiny_run: Path, tmp_path: Path) -> None:
    text = toy.text({"parameters": {"seed": [1]}}, init=str(tiny_run), phases=[{**toy.ADAPTER, "batch": 4000}])
    with pytest.raises(RunError, match=r"every setting failed; the first: .*batches of 4000"):
        run_sweep(parse_sweep(text, "tiny.toml"), tmp_path)


def test_not_under_accelerate_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="each trained by one process"):
        run_sweep("fashion-mnist-sweep", tmp_path)


def test_what_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a sweep"):
        load_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(UsageError, match="it is not what a sweep writes"):
        load_sweep(tmp_path)
