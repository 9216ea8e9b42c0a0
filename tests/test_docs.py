"""What the documentation promises exists: commands parse, links lead somewhere, public names are named."""

import re
import shlex
from pathlib import Path

import pytest
import typer

import ecc_deploy
from ecc_deploy.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = [
    (page.name, line.split(" #")[0].strip())
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if line.startswith("    ecc-deploy ")
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_in_the_documentation_parse(page: str, line: str) -> None:
    command = typer.main.get_command(app)
    arguments = shlex.split(line)[1:]
    while arguments and (inner := getattr(command, "commands", {}).get(arguments[0])):
        command, arguments = inner, arguments[1:]
    assert command.name != "ecc-deploy", f"{page}: {line}"
    command.make_context("ecc-deploy", arguments)


def test_every_verb_is_documented_with_an_example() -> None:
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    for verb in typer.main.get_command(app).commands:
        assert f"\n## {verb}\n\n    ecc-deploy {verb}" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_every_public_name_is_in_the_documentation() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b[A-Za-z_]+\b", text))
    told_elsewhere = {"Prediction", "Recipe", "__version__"}
    assert set(ecc_deploy.__all__) - told_elsewhere <= named
    assert set(re.findall(r"\becc\.([A-Za-z_]+)\b", text)) <= set(ecc_deploy.__all__)
