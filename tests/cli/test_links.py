"""``ecc-deploy links``, and the table in its documentation."""

import json
import re
from pathlib import Path

import pytest

from ecc_deploy.errors import LinkError
from ecc_deploy.links import list_links
from tests.cli.conftest import Cli, Outcome

PAGE = Path(__file__).parent.parent.parent / "docs/links.md"


def test_the_list_shows_all(cli: Cli) -> None:
    shown = cli("links", "list")
    assert shown.code == 0
    assert all(link.name in shown.out for link in list_links())
    listed = json.loads(cli("links", "list", "--json").out)
    assert [link["name"] for link in listed] == [link.name for link in list_links()]


def test_one_is_shown_with_its_sources(cli: Cli) -> None:
    shown = cli("links", "show", "satellite")
    assert "600 ms round trip" in shown.out
    assert "RFC 2488" in shown.out
    assert json.loads(cli("links", "show", "rate=10mbit,delay=20ms", "--json").out)["rtt_ms"] == 20


def test_an_unknown_one_is_a_mistake(cli: Cli) -> None:
    wrong = cli("links", "show", "carrier-pigeon")
    assert wrong.code == 2
    assert "there is no link named 'carrier-pigeon'" in wrong.err
    assert wrong.out == ""


def checked(cli: Cli, *arguments: str) -> Outcome:
    """A busy machine may refuse at first."""
    for _ in range(3):
        done = cli("links", "check", "rate=4mbit,delay=30ms", "--method", "proxy", *arguments)
        if done.code == 0:
            break
    return done


def test_a_check_shows_what_was_measured(cli: Cli) -> None:
    done = checked(cli)
    assert done.code == 0, done.err
    assert "emulated by proxy" in done.out
    assert "no TCP dynamics" in done.out
    assert all(name in done.out for name in ("Mbit/s up", "Mbit/s down", "ms round trip"))


def test_a_check_as_json(cli: Cli) -> None:
    facts = json.loads(checked(cli, "--json").out)
    assert facts["method"] == "proxy"
    assert facts["link"]["up_mbit"] == 4
    assert set(facts["check"]["off"]) == {"up_mbit", "down_mbit", "rtt_ms"}


def test_a_link_that_is_not_as_it_should_be_is_a_mistake(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LinkError("the emulated link is not what its profile says", "Is this machine very busy?")

    monkeypatch.setattr("ecc_deploy.open_link", refuse, raising=False)
    refused = cli("links", "check", "lte")
    assert refused.code == 2
    assert "not what its profile says" in refused.err
    assert refused.out == ""


def test_the_documentation_says_what_the_files_say() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if cells.count("|") == 4}
    assert told == {
        link.name: [
            f"{link.up_mbit:g}",
            f"{link.down_mbit:g}",
            f"{link.rtt_ms:g}",
            f"±{link.jitter_ms:g}" if link.jitter_ms else "–",
            f"{link.loss * 100:g} %" if link.loss else "–",
        ]
        for link in list_links()
    }
