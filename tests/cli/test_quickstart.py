"""The verb alone; the quickstart itself is tested where it lives."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
from tests.cli.conftest import Cli
from tests.report.fake_bench import fake_bench


def test_it_ends_with_the_table_the_report_and_three_lines(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {}
    result = fake_bench()

    def run_quickstart(out: Path, **options: Any) -> SimpleNamespace:
        asked.update(options, out=out)
        return SimpleNamespace(bundle=toy_bundle, bench=result, report=out / "report.html", seconds=61.7)

    monkeypatch.setattr(ecc_deploy, "run_quickstart", run_quickstart, raising=False)
    done = cli("quickstart", "--out", tmp_path, "--samples", 40)
    assert done.code == 0
    assert (asked["out"], asked["samples"]) == (tmp_path, 40)
    for arm in ("Edge-only", "Cloud-only · png", "ECC-I", "ECC-A", "ECC-D"):
        assert arm in done.out
    assert f"Done in 62 s. The report: {tmp_path / 'report.html'}" in done.out
    assert done.out.splitlines()[-4] == "What next:"


def test_what_next_works_where_the_program_is_not_on_the_path(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, toy_bundle: Bundle, tmp_path: Path
) -> None:
    result = SimpleNamespace(bundle=toy_bundle, bench=fake_bench(), report=tmp_path / "report.html", seconds=1.0)
    monkeypatch.setattr(ecc_deploy, "run_quickstart", lambda out, **options: result, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = cli("quickstart", "--out", tmp_path, program=".venv/bin/ecc-deploy")
    assert f".venv/bin/ecc-deploy serve {toy_bundle.path}" in done.out
