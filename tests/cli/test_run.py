import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecc_deploy.bundle import Bundle
from ecc_deploy.serving import Server
from tests import toy
from tests.cli.conftest import Cli
from tests.runtime.fakes import free_port


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """An image file and an array of eight more."""
    drawn = toy.samples(9, seed=1).images
    Image.fromarray(drawn[0, ..., 0]).save(tmp_path / "one.png")
    np.save(tmp_path / "eight.npy", drawn[1:])
    return [tmp_path / "one.png", tmp_path / "eight.npy"]


def test_routes_and_reasons_are_shown(cli: Cli, toy_bundle: Bundle, toy_server: Server, images: list[Path]) -> None:
    done = cli("run", toy_bundle.path, *images, "--cloud", f"127.0.0.1:{toy_server.port}", "--json")
    answers = json.loads(done.out)
    assert [answer["source"] for answer in answers] == [str(images[0]), *(f"{images[1]}[{i}]" for i in range(8))]
    assert [answer["label"] for answer in answers] == [toy.CLASSES[i % 4] for i in range(9)]
    assert {(answer["route"], answer["reason"]) for answer in answers} == {
        ("edge", "confident"),
        ("cloud", "offloaded"),
    }
    for answer in answers:
        assert (answer["payload_bytes"] > 0) == (answer["route"] == "cloud")
        assert 0 < answer["confidence"] <= 1
        assert answer["timings_ms"]["total"] > 0


def test_a_table_for_people(cli: Cli, toy_bundle: Bundle, images: list[Path]) -> None:
    done = cli("run", toy_bundle.path, images[0], "--deployment", "edge-only")
    assert done.code == 0
    assert "north-west" in done.out
    assert "edge-only" in done.out
    assert "Note" not in done.err


def test_without_a_cloud_the_edge_answers_and_says_why(cli: Cli, toy_bundle: Bundle, images: list[Path]) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = cli("run", toy_bundle.path, *images, "--cloud", nobody, "--deployment", "adaptive")
    assert done.code == 0
    assert (done.out.count(" unavailable "), done.out.count(" breaker ")) == (5, 4)
    assert "5 of 9 answered by the edge instead of the cloud: UNAVAILABLE" in done.err
    assert "4 of 9 answered by the edge instead of the cloud: the circuit breaker is open" in done.err
    always = cli("run", toy_bundle.path, *images, "--cloud", nobody, "--deployment", "adaptive", "--no-breaker")
    assert always.out.count(" unavailable ") == 9


def test_another_bundles_server_is_refused_and_told(
    cli: Cli, other_bundle: Bundle, toy_server: Server, images: list[Path]
) -> None:
    done = cli("run", other_bundle.path, *images, "--cloud", f"127.0.0.1:{toy_server.port}", "--deployment", "adaptive")
    assert (done.out.count(" refused "), done.out.count(" breaker ")) == (5, 4)
    assert "FAILED_PRECONDITION" in done.err


def test_a_cloud_that_is_needed_is_asked_for(cli: Cli, toy_bundle: Bundle, images: list[Path]) -> None:
    done = cli("run", toy_bundle.path, *images)
    assert done.code == 2
    assert "--cloud HOST:PORT" in done.err
    assert "--deployment edge-only" in done.err


def test_no_bundle(cli: Cli, tmp_path: Path, images: list[Path]) -> None:
    done = cli("run", tmp_path / "nothing", *images)
    assert done.code == 2
    assert "is not a bundle" in done.err


def test_budgets(cli: Cli, toy_bundle: Bundle, toy_server: Server, images: list[Path]) -> None:
    given = ("run", toy_bundle.path, *images, "--cloud", f"127.0.0.1:{toy_server.port}", "--deployment")
    done = cli(*given, "dynamic", "--latency-budget", "0.001")
    assert done.code == 0
    assert " link " in done.out
    assert " cloud " not in done.out
    done = cli(*given, "independent", "--byte-budget", "100000/s", "--codec", "webp:80", "--max-offload-rate", "1")
    assert done.code == 0
    assert " offloaded " in done.out
    done = cli(*given, "dynamic", "--byte-budget", "plenty")
    assert done.code == 2
    assert "no byte budget" in done.err
    done = cli(*given, "adaptive", "--byte-budget", "100")
    assert done.code == 2
    assert "has no gate" in done.err
