"""Servers that go, come back, are late or are the wrong ones; and arguments that cannot be."""

import os
import signal
import time

import pytest

from ecc_deploy.bench.run import bench
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import DataError, ServerError, UsageError
from tests.bench.conftest import ToyDataset
from tests.bench.links import Relay
from tests.bench.test_server_process import has_ended
from tests.child import ServerChild

SAMPLES = 40
PATIENT_MS = 20_000.0  # a busy machine may take its time


def test_a_server_killed_meanwhile_loses_no_sample(
    toy_bundle: Bundle, dataset: ToyDataset, own_servers: list[ServerProcess]
) -> None:
    def kill_half_way(what: str, done: int, total: int, note: str = "") -> None:
        if (what, done) == ("Benchmark", SAMPLES // 2):
            assert own_servers[0].pid is not None
            os.kill(own_servers[0].pid, signal.SIGKILL)
            assert has_ended(own_servers[0].pid)

    arms = ["edge-only", "cloud-only/png", "adaptive", "dynamic"]
    result = bench(
        toy_bundle,
        samples=SAMPLES,
        arms=arms,
        warmup=1,
        deadline_ms=PATIENT_MS,
        dataset=dataset,
        progress=kill_half_way,
    )
    edge = result.arm("edge-only").raw
    for arm in result.arms[1:]:
        raw = arm.raw
        assert len(raw.predicted) == SAMPLES
        assert raw.sample == edge.sample
        marked = [reason == "unavailable" for reason in raw.reason]
        assert not any(marked[: SAMPLES // 2])
        assert "cloud" not in raw.route[SAMPLES // 2 :]
        assert arm.fallback_rate == sum(marked) / SAMPLES > 0
        # What fell back is the edge's own answer.
        assert [p for p, m in zip(raw.predicted, marked, strict=True) if m] == [
            p for p, m in zip(edge.predicted, marked, strict=True) if m
        ]
        assert any(arm.name in warning and "the edge answered" in warning for warning in result.warnings)
        assert arm.wire_up_bytes_per_sample is not None
    assert result.arm("adaptive").fallback_rate == 0.5
    assert result.arm("adaptive").edge_macs_per_sample == 64 + 0.5 * 256
    assert not any("127.0.0.1" in warning for warning in result.warnings)
    assert any("ended by signal 9" in warning for warning in result.warnings)


def test_a_server_that_comes_back_is_used_again(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    with ServerChild(toy_bundle.path) as first:
        again: list[ServerChild] = []

        def restart(what: str, done: int, total: int, note: str = "") -> None:
            if (what, done) == ("Benchmark", 10):
                first.kill()
            elif (what, done) == ("Benchmark", 20):
                again.append(ServerChild(toy_bundle.path, port=first.port))
                time.sleep(2.5)  # clients wait up to a second between two attempts to connect

        try:
            result = bench(
                toy_bundle, cloud=first.url, samples=SAMPLES, arms=["adaptive", "cloud-only/raw"], warmup=0,
                deadline_ms=PATIENT_MS, dataset=dataset, progress=restart,
            )  # fmt: skip
        finally:
            for server in again:
                server.__exit__(None, None, None)
    for arm in result.arms:
        routes = arm.raw.route
        assert len(routes) == SAMPLES
        assert routes[:10] == ["cloud"] * 10
        assert routes[10:20] == ["edge"] * 10
        assert routes[-10:] == ["cloud"] * 10
        offloads = routes.count("cloud")
        assert (arm.wire_up_bytes_per_sample or 0) * SAMPLES > offloads * arm.raw.payload_bytes[0]
    adaptive, raw = (arm.wire_up_bytes_per_sample or 0 for arm in result.arms[::-1])
    assert abs(adaptive - raw) < 64 * 2  # each followed its own new connection: they differ by the payloads alone


def test_a_lost_connection_is_made_anew_and_both_are_counted(
    toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess
) -> None:
    host, port = server.url.split(":")
    with Relay((host, int(port))) as relay:

        def drop_half_way(what: str, done: int, total: int, note: str = "") -> None:
            if (what, done) == ("Benchmark", SAMPLES // 2):
                relay.drop()

        result = bench(
            toy_bundle, cloud=relay.url, samples=SAMPLES, arms=["adaptive", "cloud-only/raw"], warmup=0,
            deadline_ms=PATIENT_MS, dataset=dataset, progress=drop_half_way,
        )  # fmt: skip
        carried = relay.up
    for arm in result.arms:
        assert len(arm.raw.sample) == SAMPLES
        assert arm.raw.route[-1] == "cloud"
        assert arm.wire_up_bytes_per_sample is not None
    wire = sum((arm.wire_up_bytes_per_sample or 0) * SAMPLES for arm in result.arms)
    segments = 2 * SAMPLES
    assert carried * 0.5 + 40 * segments < wire < carried + 4 * 72 * segments


def test_a_missed_deadline_is_answered_by_the_edge(
    toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess
) -> None:
    result = bench(
        toy_bundle, cloud=server.url, samples=10, arms=["cloud-only/raw", "edge-only"], warmup=0,
        deadline_ms=1e-6, dataset=dataset,
    )  # fmt: skip
    arm = result.arm("cloud-only/raw")
    assert arm.reasons == {"deadline": 10}
    assert arm.raw.predicted == result.arm("edge-only").raw.predicted
    assert arm.latency_offloaded_ms is None


def test_ctrl_c_ends_the_server(toy_bundle: Bundle, dataset: ToyDataset, own_servers: list[ServerProcess]) -> None:
    def interrupt(what: str, done: int, total: int, note: str = "") -> None:
        if what == "Benchmark":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(toy_bundle, arms=["adaptive"], warmup=0, dataset=dataset, progress=interrupt)
    assert own_servers[0].pid is not None
    assert has_ended(own_servers[0].pid)


def test_a_server_of_another_pair_is_refused(toy_bundle: Bundle, other_bundle: Bundle, dataset: ToyDataset) -> None:
    with ServerProcess(other_bundle.path) as wrong, pytest.raises(ServerError, match="another bundle"):
        bench(toy_bundle, cloud=wrong.url, dataset=dataset)


def test_no_server_there(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    with pytest.raises(ServerError) as caught:
        bench(toy_bundle, cloud="127.0.0.1:9", arms=["adaptive"], dataset=dataset)
    assert "ecc-deploy serve" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arms": ["fast"]}, "no arm named 'fast'"),
        ({"image_codecs": ["gif"]}, "gif"),
        ({"samples": 0}, "samples is 0"),
        ({"samples": 61}, "has 60"),
        ({"warmup": -1}, "warmup is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"deadline_ms": 0.0}, "deadline_ms"),
        ({"deadline_ms": float("nan")}, "deadline_ms"),
        ({"cloud": "localhost"}, "not the address"),
    ],
)
def test_arguments_that_cannot_be(
    toy_bundle: Bundle, dataset: ToyDataset, own_servers: list[ServerProcess], arguments: dict, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        bench(toy_bundle, dataset=dataset, **arguments)
    assert own_servers == []


def test_a_dataset_that_is_not_the_bundle_s(toy_bundle: Bundle, dataset: ToyDataset) -> None:
    class Other(ToyDataset):
        image_shape = (28, 28, 1)

    with pytest.raises(DataError, match="28"):
        bench(toy_bundle, dataset=Other())
    with pytest.raises(DataError, match="empty"):
        bench(toy_bundle, dataset=ToyDataset(0))
    with pytest.raises(DataError, match="no dataset named 'toy'"):
        bench(toy_bundle)
