import pytest

from ecc_deploy.cli import progress
from ecc_deploy.cli.progress import Lines, shown_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_few_lines(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for step in range(1001):
        clock[0] = step * 0.04
        lines("train adapter", step, 1000, f"loss {step}")
    lines("train adapter", 1000, 1000, "again")
    assert capsys.readouterr().err.splitlines() == [
        "train adapter: 25/1000 (loss 25)",
        "train adapter: 400/1000 (loss 400)",
        "train adapter: 775/1000 (loss 775)",
        "train adapter: done in 40.0 s (loss 1000)",
    ]


def test_work_that_is_done_at_once_is_not_mentioned(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines("predict", 0, 2)
    clock[0] = 0.9
    lines("predict", 2, 2)
    assert capsys.readouterr().err == ""


def test_progress_never_goes_to_stdout(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress() as callback:
        callback("evaluate", 0, 2, "png")
        clock[0] = 7
        callback("evaluate", 2, 2, "done")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "evaluate: done in 7.0 s\n"


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with shown_progress() as callback:
        callback("train adapter", 0, 10, "")
        callback("train adapter", 10, 10, "loss 0.125")
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("train adapter", "10/10", "loss 0.125", "━"):
        assert part in shown.err
