import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ecc_deploy.cli import app


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def written_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a file: processes that share the tests would be told the width of a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``ecc-deploy`` with arguments, in this process."""

    def run(*arguments: object, program: str = "ecc-deploy") -> Outcome:
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app.main()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run
