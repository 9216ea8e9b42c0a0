"""The fault run in short form, and that it would notice what it looks for."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests.faults import verdict
from tests.faults.children import ROOT, Usage
from tests.faults.kinds import KINDS, round_of
from tests.faults.run import Result
from tests.faults.truth import DEPLOYMENTS, Truth

REQUESTS = 2000
MIB = 1 << 20


def test_no_sample_without_an_answer_and_none_with_a_wrong_one() -> None:
    """In a process of its own, so that what it holds is its own."""
    command = [sys.executable, "-m", "tests.faults.run", "--requests", str(REQUESTS)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    counts = {(row[0], row[1]): int(row[2]) for row in rows if len(row) == 3 and row[0] in ("edge", "cloud")}
    assert sum(counts.values()) == REQUESTS
    assert {reason for _, reason in counts} >= {"breaker"} | {
        "always",
        "offloaded",
        "confident",
        "deadline",
        "unavailable",
        "refused",
    }


def test_a_round_has_every_kind_once() -> None:
    names = [kind.name for kind in round_of(np.random.default_rng(3))]
    assert sorted(names) == sorted(kind.name for kind in KINDS)
    assert len(names) == len(set(names)) > 20


def good() -> Result:
    held = Usage(100 * MIB, 10, 20)
    return Result(
        requests=10,
        answers=Counter({("cloud", "always"): 8, ("edge", "deadline"): 2}),
        recoveries=Counter({"link: cut": 1}),
        gone="",
        before=held,
        after=held,
        closed=(9, 9),
    )


def test_a_good_run_has_no_failure_and_a_table() -> None:
    assert verdict.failures(good()) == []
    assert "10 requests" in verdict.table(good(), 250)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"wrong": ["sample 3 is not its own"]}, "sample 3 is not its own"),
        ({"wrong": ["x"] * 12}, "2 more wrong"),
        ({"unanswered": 1}, "1 of 10 samples have no answer"),
        ({"gone": "no route"}, "did not answer again when all faults were over: no route"),
        ({"recoveries": Counter()}, "no fault was ever followed"),
        ({"answers": Counter({("cloud", "always"): 9, ("edge", "confident"): 1})}, "the faults did nothing"),
        ({"after": Usage(140 * MIB, 10, 20)}, "grew from 100.0 to 140.0 MiB"),
        ({"after": Usage(100 * MIB, 30, 20)}, "had 10 threads and has 30"),
        ({"after": Usage(100 * MIB, 10, 30)}, "had 20 file descriptors and has 30"),
        ({"servers": [(Usage(1, 1, 1), Usage(1, 1, 9))]}, "a server had 1 file descriptors and has 9"),
        ({"closed": (9, 10)}, "1 file descriptors outlive"),
    ],
)
def test_what_must_not_be_is_a_failure(changes: dict, says: str) -> None:
    assert any(says in failure for failure in verdict.failures(replace(good(), **changes)))


def answered(logits: np.ndarray, route: Route, reason: Reason) -> Prediction:
    return Prediction(logits.astype(np.float32), route, reason)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_an_answer_that_is_not_its_own_is_seen(truth: Truth, deployment: str) -> None:
    cloud, edge = truth.cloud[deployment], truth.edge
    sent = np.flatnonzero(truth.sent[deployment])
    one, other = int(sent[0]), int(sent[1])
    assert truth.fault_of(deployment, one, answered(cloud[one], Route.CLOUD, Reason.ALWAYS)) is None
    assert truth.fault_of(deployment, one, answered(edge[one], Route.EDGE, Reason.DEADLINE)) is None
    for logits, route, reason in (
        (cloud[other], Route.CLOUD, Reason.ALWAYS),  # another sample's
        (edge[one], Route.CLOUD, Reason.ALWAYS),  # the edge's, told as the cloud's
        (cloud[one], Route.EDGE, Reason.DEADLINE),  # the other way round
        (edge[other], Route.EDGE, Reason.DEADLINE),
        (edge[one], Route.EDGE, Reason.CONFIDENT),  # the gate sends it
        (cloud[one], Route.CLOUD, Reason.UNAVAILABLE),
    ):
        assert truth.fault_of(deployment, one, answered(logits, route, reason)) is not None


def test_what_the_gate_keeps_is_not_sent(truth: Truth) -> None:
    kept = int(np.flatnonzero(~truth.sent["dynamic"])[0])
    assert truth.fault_of("dynamic", kept, answered(truth.edge[kept], Route.EDGE, Reason.CONFIDENT)) is None
    for route, reason in ((Route.CLOUD, Reason.OFFLOADED), (Route.EDGE, Reason.UNAVAILABLE)):
        assert truth.fault_of("dynamic", kept, answered(truth.edge[kept], route, reason)) is not None
