"""Several requests in flight: order, bounds, deadlines, cancellation, and one answer for each sample."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.gate import offloads
from ecc_deploy.runtime.pipeline import Pipeline
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests import reference
from tests.runtime.clouds import ManualCloud
from tests.toy import samples

IMAGES = samples(40, seed=31).images
LONG = {"deadline_ms": 20_000}


@pytest.fixture
def manual(toy_bundle: Bundle) -> ManualCloud:
    return ManualCloud(toy_bundle)


@pytest.fixture
def adaptive(toy_bundle: Bundle, manual: ManualCloud) -> Iterator[EdgeRuntime]:
    """Every sample is sent, to a cloud that answers when it is told."""
    with EdgeRuntime(toy_bundle, "adaptive", cloud=manual, **LONG) as runtime:
        yield runtime


def facts(prediction: Prediction) -> tuple:
    return prediction.route, prediction.reason, prediction.payload_bytes, prediction.logits.tolist()


@pytest.mark.parametrize("deployment", ["edge-only", "cloud-only", "independent", "adaptive", "dynamic"])
def test_it_answers_as_one_at_a_time_does_in_order(toy_bundle: Bundle, cloud: CloudClient, deployment: str) -> None:
    with EdgeRuntime(toy_bundle, deployment, cloud=cloud, **LONG) as runtime:
        alone = [facts(runtime.predict(image)) for image in IMAGES]
        assert [facts(p) for p in runtime.predict_many(IMAGES, in_flight=5)] == alone
        with Pipeline(runtime, in_flight=3) as pipeline:
            unordered = dict(pipeline.predict_unordered(IMAGES))
        assert [facts(unordered[i]) for i in range(len(IMAGES))] == alone


def test_as_many_are_under_way_as_may_be_and_no_more(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    found: list[Prediction] = []
    reader = threading.Thread(target=lambda: found.extend(adaptive.predict_many(IMAGES, in_flight=4)))
    reader.start()
    for left in range(len(IMAGES), 0, -1):
        manual.wait_for(min(4, left))
        manual.answer(-1)  # the last that came: order must not depend on the cloud's
    reader.join(20)
    np.testing.assert_allclose([p.logits for p in found], reference.tail_logits(IMAGES), atol=1e-4)
    assert manual.most == 4


def test_answers_come_as_they_are_there_where_order_is_not_wanted(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive, in_flight=3) as pipeline:
        answers = pipeline.predict_unordered(IMAGES[:3])
        threading.Thread(target=lambda: (manual.wait_for(3), manual.answer(2))).start()
        index, prediction = next(answers)
        assert index == 2
        np.testing.assert_allclose(prediction.logits, reference.tail_logits(IMAGES[2:3])[0], atol=1e-4)
        manual.answer()
        assert next(answers)[0] == 0


def test_full_and_the_edge_answers(toy_bundle: Bundle, manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive, in_flight=2, when_full="edge") as pipeline:
        sent = [pipeline.submit(image) for image in IMAGES[:2]]
        busy = pipeline.submit(IMAGES[2]).result(0)
        assert (busy.route, busy.reason, busy.payload_bytes) == (Route.EDGE, Reason.BUSY, 0)
        assert busy.reason.is_fallback
        np.testing.assert_allclose(busy.logits, reference.edge_logits(IMAGES[2:3])[0], atol=1e-4)
        manual.answer()
        assert sent[0].result(20).route == Route.CLOUD
        pipeline.submit(IMAGES[3])
        assert len(manual.requests) == 3


def test_who_waits_for_a_place_waits_to_the_deadline_at_most(toy_bundle: Bundle, manual: ManualCloud) -> None:
    with (
        EdgeRuntime(toy_bundle, "adaptive", cloud=manual, deadline_ms=50) as runtime,
        Pipeline(runtime, in_flight=1) as pipeline,
    ):
        first = pipeline.submit(IMAGES[0])
        late = pipeline.submit(IMAGES[1]).result(0)
        assert (late.reason, late.payload_bytes) == (Reason.DEADLINE, 0)
        assert "1 requests were under way" in late.detail
        assert not first.done()
        assert manual.requests[0][2] <= 0.05


def test_each_sample_has_a_deadline_of_its_own(toy_bundle: Bundle) -> None:
    from tests.runtime.fakes import silent_server

    with silent_server() as url, CloudClient(url, toy_bundle.manifest) as cloud:
        with EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, deadline_ms=60) as runtime:
            found = list(runtime.predict_many(IMAGES[:12], in_flight=4))
        assert {p.reason for p in found} <= {Reason.DEADLINE, Reason.UNAVAILABLE}
        np.testing.assert_allclose([p.logits for p in found], reference.edge_logits(IMAGES[:12]), atol=1e-4)


def test_who_stops_early_leaves_nothing(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    threads = set(threading.enumerate())
    answers = adaptive.predict_many(itertools.cycle(IMAGES), in_flight=4)
    threading.Thread(target=lambda: (manual.wait_for(4), manual.answer())).start()
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert manual.most == 4
    assert not manual.open
    assert sum(future.cancelled() for _, future, _ in manual.requests) >= 3
    assert {t for t in threading.enumerate() if t.name.startswith("ecc-")} <= threads


def test_what_is_begun_and_not_given_out_is_bounded(toy_bundle: Bundle, manual: ManualCloud) -> None:
    gate = toy_bundle.manifest.deployments["dynamic"].gate
    assert gate is not None
    is_sent = offloads(reference.edge_logits(IMAGES), gate)
    sent, kept = IMAGES[is_sent][0], IMAGES[~is_sent][0]
    read = 0

    def images() -> Iterator[np.ndarray]:
        nonlocal read
        for image in itertools.chain([sent], itertools.repeat(kept)):
            read += 1
            if read == 16:
                manual.answer()  # the first, which all others wait for
            yield image

    with EdgeRuntime(toy_bundle, "dynamic", cloud=manual, **LONG) as runtime:
        answers = runtime.predict_many(images(), in_flight=1)
        assert next(answers).route == Route.CLOUD
        assert read == 16
        answers.close()  # type: ignore[attr-defined]


def test_one_that_is_cancelled_is_gone_and_frees_its_place(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive, in_flight=1) as pipeline:
        future = pipeline.submit(IMAGES[0])
        assert future.cancel()
        assert manual.requests[0][1].cancelled()
        other = pipeline.submit(IMAGES[1])
        manual.wait_for(1)
        manual.answer()
        np.testing.assert_allclose(other.result(20).logits, reference.tail_logits(IMAGES[1:2])[0], atol=1e-4)
        with pytest.raises(CancelledError):
            future.result()


def test_what_is_under_way_at_the_end_is_answered_by_the_edge(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive, in_flight=3) as pipeline:
        futures = [pipeline.submit(image) for image in IMAGES[:3]]
    found = [future.result(0) for future in futures]
    assert {(p.route, p.reason, p.detail) for p in found} == {
        (Route.EDGE, Reason.UNAVAILABLE, "the pipeline was closed")
    }
    np.testing.assert_allclose([p.logits for p in found], reference.edge_logits(IMAGES[:3]), atol=1e-4)
    with pytest.raises(UsageError, match="was closed"):
        pipeline.submit(IMAGES[0])


def test_a_bad_image_is_told_after_the_answers_before_it(toy_bundle: Bundle, cloud: CloudClient) -> None:
    images: list[Any] = [*IMAGES[:3], IMAGES[3][:5], IMAGES[4]]
    with EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, **LONG) as runtime:
        answers = runtime.predict_many(images, in_flight=8)
        found = [next(answers) for _ in range(3)]
        np.testing.assert_allclose([p.logits for p in found], reference.tail_logits(IMAGES[:3]), atol=1e-4)
        with pytest.raises(UsageError, match="an image is uint8"):
            next(answers)
        with Pipeline(runtime) as pipeline:
            unordered = pipeline.predict_unordered(images)
            assert {next(unordered)[0] for _ in range(3)} == {0, 1, 2}
            with pytest.raises(UsageError, match="an image is uint8"):
                next(unordered)


def test_asyncio(toy_bundle: Bundle, cloud: CloudClient) -> None:
    async def all_of_them(pipeline: Pipeline) -> list[Prediction]:
        return await asyncio.gather(*(pipeline.predict(image) for image in IMAGES))

    with EdgeRuntime(toy_bundle, "adaptive", cloud=cloud, **LONG) as runtime, Pipeline(runtime) as pipeline:
        found = asyncio.run(all_of_them(pipeline))
    np.testing.assert_allclose([p.logits for p in found], reference.tail_logits(IMAGES), atol=1e-4)


def test_cancelling_in_asyncio_ends_the_request(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    async def cancel(pipeline: Pipeline) -> None:
        task = asyncio.create_task(pipeline.predict(IMAGES[0]))
        await asyncio.to_thread(manual.wait_for, 1)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Pipeline(adaptive, in_flight=1) as pipeline:
        asyncio.run(cancel(pipeline))
        manual_future = manual.requests[0][1]
        pipeline.close()
        assert manual_future.cancelled()


def test_an_unexpected_error_reaches_who_waits(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive) as pipeline:
        future = pipeline.submit(IMAGES[0])
        manual.requests[0][1].set_exception(ZeroDivisionError("a bug"))
        with pytest.raises(ZeroDivisionError):
            future.result(20)


def test_options_out_of_range(adaptive: EdgeRuntime) -> None:
    for in_flight in (0, -1, 5000):
        with pytest.raises(UsageError, match="in_flight"):
            Pipeline(adaptive, in_flight=in_flight)
    wrong: Any = "drop"
    with pytest.raises(UsageError, match="wait, edge"):
        Pipeline(adaptive, when_full=wrong)


def test_a_failure_is_told_as_it_is_one_at_a_time(manual: ManualCloud, adaptive: EdgeRuntime) -> None:
    with Pipeline(adaptive) as pipeline:
        future = pipeline.submit(IMAGES[0])
        manual.answer(error=CloudError(Reason.REFUSED, "no"))
        found = future.result(20)
    assert (found.route, found.reason, found.detail) == (Route.EDGE, Reason.REFUSED, "no")
    assert found.timings.network > 0
