"""``ecc-deploy plan``"""

import json

import pytest

from tests.cli.conftest import Cli

MODEL = ("tests.partition.networks:Residual", "--input", "3,16,16")
SIDES = ("--target", "onnxruntime-cpu", "--cloud", "onnxruntime-cpu")


def test_a_table_for_each_link(cli: Cli) -> None:
    shown = cli("plan", *MODEL, *SIDES, "--link", "wifi", "--link", "rate=10mbit,delay=20ms", "--top", "2")
    assert shown.code == 0, shown.err
    assert "wifi: 15 Mbit/s up" in shown.out
    assert "rate=10mbit,delay=20ms: 10 Mbit/s" in shown.out
    assert "nothing: all on the edge" in shown.out
    assert "5 cuts, all that are legal, between 5 groups" in shown.out
    assert shown.out.count(" │ ") > 20


def test_json_and_limits(cli: Cli) -> None:
    shown = cli("plan", *MODEL, *SIDES, "--link", "lte", "--constraint", "bytes<=1024", "--bits", "4", "--json")
    assert shown.code == 0, shown.err
    facts = json.loads(shown.out)
    rows = facts["links"]["lte"]
    assert rows
    assert all(row["payload_bytes"] <= 1024 for row in rows)
    assert facts["profiles"]["edge"]["target"] == "onnxruntime-cpu"
    none = cli("plan", *MODEL, *SIDES, "--link", "lte", "--constraint", "latency_ms<=0")
    assert "no cut keeps latency_ms<=0" in none.out


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("--input", "3,16"), "no size of an image"),
        (("--input", "0,16,16"), "no size of an image"),
        (("--objective", "joy"), "no objective 'joy'"),
        (("--constraint", "joy<=1"), "'joy<=1' is none"),
        (("--link", "pigeon"), "no link named 'pigeon'"),
        (("--target", "raspberry-pi-5"), "what each operator takes with LiteRT"),
        (("--target", "abacus"), "abacus"),
    ],
)
def test_mistakes(cli: Cli, changed: tuple[str, str], says: str) -> None:
    shown = cli("plan", *MODEL, *SIDES, "--link", "wifi", *changed)
    assert shown.code == 2
    assert says in shown.err
    assert "Traceback" not in shown.err
