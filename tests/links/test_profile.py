"""Links as data: those that ship, a user's own file, and a text."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from ecc_deploy.errors import LinkError
from ecc_deploy.links import LinkProfile, list_links, load_link

SHIPPED = ("ethernet", "wifi", "wifi-congested", "5g", "lte", "lte-weak", "3g", "satellite")
OWN = 'name = "mine"\ntitle = "Mine"\nup_mbit = 2\ndown_mbit = 8\nrtt_ms = 30\n'


def test_what_ships() -> None:
    assert {link.name for link in list_links()} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_figure_of_a_shipped_link_has_a_source(name: str) -> None:
    link = load_link(name)
    needed = {"rate", "rtt", "queue"}
    needed |= {"jitter"} if link.jitter_ms else set()
    needed |= {"loss"} if link.loss else set()
    assert set(link.sources) == needed
    assert all(text in link.source for text in link.sources.values())
    assert link.rtt_ms == 2 * link.delay_ms


def test_a_slower_kind_of_link_is_slower() -> None:
    cellular = [load_link(name) for name in ("5g", "lte", "lte-weak")]
    assert sorted(cellular, key=lambda link: link.rtt_ms) == cellular
    assert sorted(cellular, key=lambda link: -(link.up_mbit or 0)) == cellular


def test_ones_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    assert load_link(path) == load_link(str(path))
    assert load_link(path).down_mbit == 8


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (OWN.replace("mine", "other"), "the file is named mine.toml"),
        (OWN + "speed = 3\n", "speed"),
        (OWN.replace("8", "-8"), "down_mbit"),
        (OWN + "jitter_ms = 16\n", "jitter_ms is 16"),
        (OWN + "loss = 1.0\n", "loss"),
        (OWN + "queue_ms = 0\n", "queue_ms"),
        (OWN.replace("30", "inf"), "rtt_ms"),
        ("name = ", "not TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(LinkError, match=told):
        load_link(path)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(LinkError, match=r"nowhere\.toml cannot be read"):
        load_link("./nowhere.toml")


def test_an_unknown_name_lists_those_that_are_known() -> None:
    with pytest.raises(LinkError, match="wifi-congested"):
        load_link("5G-ultra")


def test_a_text() -> None:
    link = load_link("rate=10mbit,delay=20ms")
    assert (link.up_mbit, link.down_mbit, link.rtt_ms, link.jitter_ms, link.loss) == (10, 10, 20, 0, 0)
    assert link.describe() == "10 Mbit/s both ways, 20 ms round trip"
    assert link.name == "rate=10mbit,delay=20ms"


def test_a_text_with_everything() -> None:
    link = load_link("up=500kbit, down=1gbit, delay=0.1s, jitter=250us, loss=1.5%, queue=2s")
    assert (link.up_mbit, link.down_mbit, link.rtt_ms) == (0.5, 1000, 100)
    assert (link.jitter_ms, link.loss, link.queue_ms) == (0.25, 0.015, 2000)
    assert link.describe() == (
        "0.5 Mbit/s up, 1000 Mbit/s down, 100 ms round trip, ±0.25 ms each way, 1.50% lost each way"
    )
    assert load_link("rate=8mbit,up=1mbit,down=2mbit,delay=1ms".replace("rate=8mbit,", "")).up_mbit == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rate=10,delay=20ms", "rate is '10', not a number with the unit kbit or mbit or gbit"),
        ("rate=10mbit,delay=20", "delay is '20'"),
        ("rate=10mbit", "needs delay"),
        ("delay=20ms", "needs delay, and rate"),
        ("rate=10mbit,up=1mbit,delay=20ms", "rate or up and down"),
        ("up=1mbit,delay=20ms", "only one of up and down"),
        ("rate=10mbit,rate=10mbit,delay=20ms", "says rate twice"),
        ("speed=10mbit,delay=20ms", "has a part 'speed=10mbit'"),
        ("rate=0mbit,delay=20ms", "greater than 0"),
        ("rate=10mbit,delay=20ms,loss=100%", "less than 1"),
        ("rate=10mbit,delay=-1ms", "not a number"),
        ("rate=10mbit,delay=2ms,jitter=2ms", "jitter_ms is 2, more than the delay of one way, 1"),
    ],
)
def test_a_wrong_text_says_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(LinkError, match=told):
        load_link(text)


def test_the_same_profile_comes_back_from_json() -> None:
    link = load_link("lte")
    assert LinkProfile.model_validate_json(link.model_dump_json()) == link
    with pytest.raises(ValidationError):
        LinkProfile.model_validate({**link.model_dump(), "name": "../lte"})
