"""Verdicts on made-up rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ecc_deploy.comparison.result import DeploymentRow, HalfRow, Latency, Row, Verdict
from ecc_deploy.comparison.verdicts import verdicts

N = 2000
TRUTH = np.ones(N, bool)
NOISE = np.random.default_rng(0).lognormal(0, 0.05, 200)


def half(side: Any, precision: str, ms: float | None) -> HalfRow:
    raw = () if ms is None else tuple((ms * NOISE).tolist())
    latency = None if ms is None else Latency(threads=1, p50_ms=ms, p95_ms=ms, raw_ms=raw)
    return HalfRow(side, "onnxruntime", precision, 1000, 10, 10, "dynamic", "runtime", "", None, latency)


def row(
    name: str,
    precision: str,
    ms: float | None,
    *,
    target: str = "pi",
    cloud_ms: float = 1.0,
    same_as: str | None = None,
) -> Row:
    halves = {"e": half("edge", precision, ms), "c": half("cloud", precision, cloud_ms)}
    deployments = {
        "edge-only": DeploymentRow("e", None, 1.0, 0.0, None, None, None),
        "cloud-only": DeploymentRow(None, "c", 1.0, 1.0, None, None, None),
        "dynamic": DeploymentRow("e", "c", 1.0, 0.3, None, None, None),
    }
    targets = {"edge": target, "cloud": "server"}
    precisions = {"edge": precision, "cloud": precision}
    return Row(name, "0", same_as, targets, precisions, "e", "c", halves, deployments)


def right(edge: int = 0, cloud: int = 0) -> dict[str, np.ndarray]:
    """By deployment; how many of :data:`N` are wrong."""

    def but(wrong: int) -> np.ndarray:
        return np.arange(N) >= wrong

    return {"edge-only": but(edge), "cloud-only": but(cloud), "dynamic": but(edge // 2)}


def of_edge(*rows: Row, wrong: int = 0, run: bool = False) -> list[Verdict]:
    """Verdicts on the edge; ``wrong``: of the int8 rows."""
    answers = {item.name: right(wrong if item.precisions["edge"] == "int8" else 0) for item in rows}
    floats = {item.name: right() for item in rows} if run else {}
    return [verdict for verdict in verdicts(rows, answers, floats) if verdict.side == "edge"]


def test_slower_is_said_with_what_to_take() -> None:
    (found,) = of_edge(row("a", "int8", 1.8), row("b", "fp32", 1.0))
    assert found.sentence == "pi: int8 is 1.80x slower than fp32 here (1.80x to 1.80x): take fp32"
    assert (found.take, found.time_ratio) == ("fp32", pytest.approx(1.8))


def test_faster_without_loss_is_taken() -> None:
    (found,) = of_edge(row("a", "int8", 0.5), row("b", "fp32", 1.0))
    assert (
        found.text == "int8 is 2.00x faster than fp32 here (2.00x to 2.00x) and loses no accuracy that shows: take int8"
    )
    assert found.take == "int8"


def test_a_difference_within_the_margin_is_none() -> None:
    (found,) = of_edge(row("a", "int8", 1.04), row("b", "fp32", 1.0))
    assert found.text == "int8 takes as long as fp32 here (1.04x to 1.04x of its time)"
    assert found.take is None


def test_noise_is_called_noise() -> None:
    noisy = row("a", "int8", 1.0)
    wild = tuple((1.1 * np.random.default_rng(1).lognormal(0, 1, 200)).tolist())
    noisy.halves["e"] = replace(noisy.halves["e"], latency=Latency(1, 1.1, 9.0, wild))
    (found,) = of_edge(noisy, row("b", "fp32", 1.0))
    assert found.text.startswith("int8 is not clearly faster or slower than fp32 here (")
    assert found.take is None


def test_one_sample_is_never_enough() -> None:
    short = []
    for name, precision, ms in (("a", "int8", 3.0), ("b", "fp32", 1.0)):
        made = row(name, precision, ms)
        made.halves["e"] = replace(made.halves["e"], latency=Latency(1, ms, ms, (ms,)))
        short.append(made)
    assert of_edge(*short) == []


@pytest.mark.parametrize(("wrong", "take", "text"), [(8, "int8", "loses 0.4 points"), (30, "fp32", "loses 1.5 points")])
def test_more_than_half_a_point_is_too_much(wrong: int, take: str, text: str) -> None:
    (found,) = of_edge(row("a", "int8", 0.5), row("b", "fp32", 1.0), wrong=wrong)
    assert (found.deployment, found.lost) == ("edge-only", pytest.approx(wrong / N))
    assert text in found.text
    assert found.take == take


def test_what_chance_may_have_done_is_no_loss() -> None:
    """30 lost and 18 gained of 2,000 are 0.6 points, and may be none."""
    rows = [row("a", "int8", 0.5), row("b", "fp32", 1.0)]
    int8 = {**right(), "edge-only": np.arange(N) >= 30}
    fp32 = {**right(), "edge-only": np.arange(N) < N - 18}
    (found,) = [verdict for verdict in verdicts(rows, {"a": int8, "b": fp32}, {}) if verdict.side == "edge"]
    assert found.lost == pytest.approx(0.006)
    assert found.lost_interval is not None
    assert found.lost_interval[0] < 0
    assert found.take == "int8"


def test_with_a_run_losses_are_those_against_it_and_no_float_bundle_is_needed() -> None:
    (found,) = of_edge(row("a", "int8", 0.5), wrong=40, run=True)
    assert (found.against, found.take) == (None, None)
    assert found.text.startswith("int8 loses 2.0 points (")
    assert found.text.endswith("of edge-only against the float system: try another calibration, or a float precision")
    assert of_edge(row("a", "int8", 0.5), wrong=0, run=True) == []


def test_equal_files_are_one_verdict_for_all_their_targets() -> None:
    rows = [
        row("a8", "int8", 2.0, target="pi-3"),
        row("a32", "fp32", 1.0, target="pi-3"),
        row("b8", "int8", 2.0, target="pi-4", same_as="a8"),
        row("b32", "fp32", 1.0, target="pi-4", same_as="a32"),
        row("c8", "int8", 2.0, target="n100"),
    ]
    (found,) = of_edge(*rows)
    assert found.targets == ("pi-3", "pi-4")


def test_the_cloud_is_judged_by_itself_and_once() -> None:
    rows = [
        row(name, precision, ms, target=target, cloud_ms=cloud)
        for target in ("pi", "n100")
        for name, precision, ms, cloud in ((f"{target}8", "int8", 2.0, 0.4), (f"{target}32", "fp32", 1.0, 1.0))
    ]
    answers = {item.name: right(cloud=100 if item.precisions["edge"] == "int8" else 0) for item in rows}
    found = [verdict for verdict in verdicts(rows, answers, {}) if verdict.side == "cloud"]
    (one,) = found
    assert one.targets == ("server",)
    assert one.text.startswith(
        "as the cloud, int8 is 2.50x faster than fp32 here (2.50x to 2.50x) and loses 5.0 points"
    )
    assert one.take == "fp32"
