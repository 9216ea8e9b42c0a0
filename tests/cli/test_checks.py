from pathlib import Path

import pytest

from ecc_deploy.cli import checks
from ecc_deploy.errors import UsageError


def test_places_that_can_be_written(tmp_path: Path) -> None:
    assert checks.output_file(tmp_path / "a/b/c.json") == tmp_path / "a/b/c.json"
    assert checks.output_folder(tmp_path) == tmp_path
    assert checks.output_folder(tmp_path / "new/run") == tmp_path / "new/run"
    assert checks.output_file(Path("bench.json")) == Path("bench.json")
    assert not (tmp_path / "a").exists()


def test_a_folder_where_a_file_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        checks.output_file(tmp_path)


def test_a_file_where_a_folder_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        checks.output_folder(tmp_path / "run")


def test_a_file_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="run is not a folder"):
        checks.output_file(tmp_path / "run/bench.json")


def test_a_place_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(UsageError, match="not writable for you"):
        checks.output_file(tmp_path / "bench.json")
