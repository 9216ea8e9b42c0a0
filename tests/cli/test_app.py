"""The entry point: what it imports, how it fails, how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ecc_deploy
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from tests.cli.conftest import Cli

VERBS = (
    *("quickstart", "doctor", "targets", "data", "train", "evaluate", "export", "serve", "bench", "compare", "run"),
    *("report", "debug", "sign", "plan"),
)
HEAVY = (
    *("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pydantic", "grpc", "google.protobuf", "tritonclient"),
    *("PIL", "safetensors", "zstandard", "rich", "jinja2", "asyncio", "importlib.metadata"),
)
LIST_MODULES = """
import sys
sys.argv = ["ecc-deploy", *{arguments}]
from ecc_deploy.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("\\n".join(sys.modules), file=sys.stderr)
"""


BY_TYPER = ("pydantic", "importlib.metadata")
"""Typer checks the options of a verb with pydantic, so the help of a verb has these."""


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], ()),
        (["targets", "--help"], BY_TYPER),
        (["bench", "--help"], BY_TYPER),
        (["export", "--help"], BY_TYPER),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], allowed: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES.format(arguments=arguments)], capture_output=True, text=True, check=True
    )
    modules = done.stderr.split()
    assert "typer" in modules
    assert not [name for name in HEAVY if name in modules and name not in allowed]
    assert [name for name in modules if name.startswith("ecc_deploy.") and ".cli" not in name] == ["ecc_deploy.errors"]


def test_help_lists_every_verb_in_whole_sentences(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    for verb in VERBS:
        (line,) = [line for line in shown.out.splitlines() if line.startswith(f"  {verb} ")]
        assert line.endswith("."), "cut short by the width of a terminal"
        assert not line.endswith("...")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cli: Cli, verb: str) -> None:
    shown = cli(verb, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: ecc-deploy {verb}")


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"ecc-deploy {ecc_deploy.__version__}\n"


def test_python_m_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "ecc_deploy", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"ecc-deploy {ecc_deploy.__version__}\n"


def test_a_mistake_is_told_with_its_remedy(cli: Cli) -> None:
    done = cli("targets", "show", "abacus")
    assert (done.code, done.out) == (2, "")
    message, hint = done.err.splitlines()
    assert message == "Error: there is no target named 'abacus'"
    assert "onnxruntime-cpu" in hint


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["bench"], ["bench", "x", "--samples", "0"], ["export", "r"], ["serve", "x", "--port", "-1"]],
)
def test_a_wrong_command_line_is_exit_code_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: ecc-deploy" in done.err


def failing(error: BaseException) -> object:
    def diagnose() -> None:
        raise error

    return diagnose


def test_control_characters_do_not_reach_the_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ecc_deploy, "diagnose", failing(UsageError("file \x1b]0;owned\x07", "a\x1b[2Jb")), raising=False
    )
    done = cli("doctor")
    assert "owned" in done.err
    assert "\x1b" not in done.err
    assert "\x07" not in done.err


def test_a_file_that_the_system_refuses_is_a_mistake(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = PermissionError(13, "Permission denied", "/etc/report.html")
    monkeypatch.setattr(ecc_deploy, "diagnose", failing(refusal), raising=False)
    done = cli("doctor")
    assert (done.code, done.err) == (2, "Error: /etc/report.html: Permission denied\n")


def test_ctrl_c_ends_quietly(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecc_deploy, "diagnose", failing(KeyboardInterrupt()), raising=False)
    done = cli("doctor")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_a_bug_is_not_dressed_up_as_a_mistake(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecc_deploy, "diagnose", failing(ZeroDivisionError("ours")), raising=False)
    with pytest.raises(ZeroDivisionError):
        cli("doctor")


@pytest.mark.parametrize("arguments", [["targets", "list"], ["doctor", "--json"], ["--help"]])
def test_a_reader_that_leaves_gets_no_complaint(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ecc_deploy", *arguments], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_serve_says_where_and_ends_cleanly_on_ctrl_c(toy_bundle: Bundle) -> None:
    command = [sys.executable, "-m", "ecc_deploy", "serve", str(toy_bundle.path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "at 127.0.0.1:" in line
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "Stopped.\n")


def test_paths_work_from_any_directory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ecc_deploy", "targets", "show", "onnxruntime-cpu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("onnxruntime-cpu: ")
