from pathlib import Path

import pytest

from ecc_deploy.user_cache import user_cache


@pytest.mark.parametrize("chosen", [None, ""])
def test_it_is_in_the_home_folder(chosen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if chosen is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", chosen)
    assert user_cache("engines") == tmp_path / ".cache/ecc-deploy/engines"


def test_it_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("halves") == tmp_path / "ecc-deploy/halves"
