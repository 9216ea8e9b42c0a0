import pytest

from ecc_deploy.errors import UsageError
from ecc_deploy.sweep.pick import parse_constraints, pick
from ecc_deploy.sweep.result import Point, Sweep, Trial


def point(trial: str, accuracy: float, size: float, cloud_macs: float = 1e6, rate: float = 1.0) -> Point:
    return Point(
        architecture="dynamic",
        fused=True,
        wanted_rate=rate,
        offload_rate=rate,
        accuracy=accuracy,
        edge_macs=2e6,
        cloud_macs=cloud_macs,
        payload_bytes=size,
        trial=trial,
        on_front=True,
    )


def sweep(*points: Point) -> Sweep:
    keys = dict.fromkeys(p.trial for p in points)
    facts = {"variant": None, "edge_accuracy": 0.5, "cloud_accuracy": 0.9}
    trials = [Trial(key=key, run=f"trials/{key}", changes={"adapter.bits": key}, **facts) for key in keys]
    counts = {"finished": len(trials), "running": 0, "waiting": 0}
    return Sweep(
        name="toy", sampler="grid", dataset="toy", samples=100, **counts, trials=trials, points=list(points),
        ablation=[], failures=[],
    )  # fmt: skip


FOUND = sweep(
    point("a", 0.91, 20), point("b", 0.93, 64), point("c", 0.93, 60, 3e6, 0.5), point("d", 0.95, 200, 9e6, 0.2)
)


@pytest.mark.parametrize(
    ("constraints", "trial"),
    [
        ("bytes<=64, top1>=93", "c"),
        ("bytes <= 64,cloud_macs<2e6", "b"),
        ("bytes<60", "a"),
        ("top1>=95", "d"),
        ("top1>93", "d"),
        ("offload_rate<=0.5", "d"),
        ("offload_rate>0.2", "c"),
        ("edge_macs<=2e6", "d"),
    ],
)
def test_the_most_accurate_point_within_the_constraints(constraints: str, trial: str) -> None:
    assert pick(FOUND, constraints).trial == trial


def test_where_none_satisfies_all_the_nearest_are_named() -> None:
    with pytest.raises(UsageError, match="no point") as caught:
        pick(FOUND, "bytes<=50, top1>=93")
    lines = caught.value.message.splitlines()[1:]
    assert [line.split("adapter.bits = ")[1].split(", cloud_macs")[0] for line in lines] == [
        "a: top1 91.00, bytes 20", "c: top1 93.00, bytes 60", "b: top1 93.00, bytes 64",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "bytes", "bytes=64", "bytes<=", "bytes<=64,", "64>=bytes", "bytes<=1.2.3", "a b<1"]
)
def test_what_is_no_constraint(text: str) -> None:
    with pytest.raises(UsageError, match="is not a constraint"):
        parse_constraints(text)


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'latency'") as caught:
        parse_constraints("latency<=3")
    assert "cloud_macs" in caught.value.hint


def test_nothing_is_picked_from_nothing() -> None:
    with pytest.raises(UsageError, match="no trial"):
        pick(sweep(), "bytes<=64")
