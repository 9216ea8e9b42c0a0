"""The server under load: who waits, who is refused, who is answered with whom, and that nobody is mixed up."""

import threading

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from ecc_deploy.bundle import Bundle
from ecc_deploy.payload import make_codec
from ecc_deploy.serving import Server
from ecc_deploy.serving.model import CloudModel
from tests import reference
from tests.serving.requests import BOUNDARY, IMAGE, images, logits, payload_request, png, stub, wait_until
from tests.toy import samples


class Held:
    """Engines that wait until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = 0
        self.go = threading.Event()
        original = CloudModel.run

        def run(model: CloudModel, inputs: np.ndarray) -> np.ndarray:
            self.entered += 1
            assert self.go.wait(20)
            return original(model, inputs)

        self._set = lambda: monkeypatch.setattr(CloudModel, "run", run)

    def hold(self) -> None:
        self._set()


def test_beyond_the_queue_requests_are_refused_at_once_and_the_others_answered(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, channels: list[grpc.Channel]
) -> None:
    held = Held(monkeypatch)
    with Server([toy_bundle], concurrency=2, max_queue=1) as server:
        held.hold()
        ask = stub(server, channels)
        working = [ask.ModelInfer.future(payload_request("full", png()), timeout=20) for _ in range(2)]
        wait_until(lambda: held.entered == 2)
        # Of two more, one finds the place in the queue and the other is refused, while the engines are held.
        more = [ask.ModelInfer.future(payload_request("full", png()), timeout=20) for _ in range(2)]
        wait_until(lambda: any(call.done() for call in more))
        refused = next(call for call in more if call.done())
        assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ask.ServerLive(service_pb2.ServerLiveRequest(), timeout=5).live, "health must answer under load"
        held.go.set()
        for call in (*working, *(call for call in more if call is not refused)):
            np.testing.assert_allclose(logits(call.result()), reference.cloud_logits(images()), atol=1e-4)
        queued = [call.result().parameters["queue_ns"].int64_param for call in more if call is not refused]
        assert queued[0] > 0


def test_a_request_whose_caller_went_is_not_computed(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, channels: list[grpc.Channel]
) -> None:
    held = Held(monkeypatch)
    with Server([toy_bundle], max_queue=4) as server:
        held.hold()
        ask = stub(server, channels)
        working = ask.ModelInfer.future(payload_request("full", png()), timeout=20)
        wait_until(lambda: held.entered == 1)
        with pytest.raises(grpc.RpcError) as late:
            ask.ModelInfer(payload_request("full", png()), timeout=0.05)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        cancelled = ask.ModelInfer.future(payload_request("full", png()), timeout=20)
        live = service_pb2.ServerLiveRequest()
        ask.ServerLive(live, timeout=20)  # on the same connection: the request before it is there, too
        cancelled.cancel()
        ask.ServerLive(live, timeout=20)  # and so is its end
        held.go.set()
        working.result()
        ask.ModelInfer(payload_request("full", png()), timeout=20)
        assert held.entered == 2, "the late and the cancelled request must not reach the engine"


def test_stop_lets_the_requests_at_work_finish(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, channels: list[grpc.Channel]
) -> None:
    held = Held(monkeypatch)
    server = Server([toy_bundle])
    server.start()
    held.hold()
    working = stub(server, channels).ModelInfer.future(payload_request("full", png()), timeout=20)
    wait_until(lambda: held.entered == 1)
    threading.Timer(0.1, held.go.set).start()
    server.stop(grace_s=10)
    np.testing.assert_allclose(logits(working.result()), reference.cloud_logits(images()), atol=1e-4)
    server.stop()
    server.wait()
    with pytest.raises(grpc.RpcError) as gone:
        stub(server, channels).ModelInfer(payload_request("full", png()), timeout=5)
    assert gone.value.code() == grpc.StatusCode.UNAVAILABLE


def test_what_waits_is_one_batch_and_a_bad_payload_refuses_its_own_request_alone(
    toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, channels: list[grpc.Channel]
) -> None:
    held, sizes = Held(monkeypatch), []
    with Server([toy_bundle]) as server:
        held.hold()
        run = CloudModel.run
        monkeypatch.setattr(CloudModel, "run", lambda model, inputs: sizes.append(len(inputs)) or run(model, inputs))
        ask = stub(server, channels)
        first = ask.ModelInfer.future(payload_request("full", png(1)), timeout=20)
        wait_until(lambda: held.entered == 1)
        distinct = samples(8, seed=17).images
        codec = make_codec("png", IMAGE)
        calls = [
            ask.ModelInfer.future(payload_request("full", [codec.encode(image)]), timeout=20) for image in distinct
        ]
        bad = ask.ModelInfer.future(payload_request("full", [b"not a picture"]), timeout=20)
        assert bad.code() == grpc.StatusCode.INVALID_ARGUMENT, "while the engine is still at work"
        wait_until(lambda: server.waiting == 8)
        held.go.set()
        first.result()
        found = np.concatenate([logits(call.result()) for call in calls])
    np.testing.assert_allclose(found, reference.cloud_logits(distinct), atol=1e-4)
    assert sizes == [1, 8]


def test_many_clients_of_two_halves_never_get_each_others_answers(toy_bundle: Bundle) -> None:
    distinct = samples(48, seed=23).images
    codecs = {"full": make_codec("png", IMAGE), "tail": make_codec("int4", BOUNDARY)}
    sent = {"full": distinct, "tail": reference.codes(distinct)}
    expected = {"full": reference.cloud_logits(distinct), "tail": reference.tail_logits(distinct)}
    payloads = {half: [codecs[half].encode(sample) for sample in sent[half]] for half in codecs}
    problems: list[object] = []

    def ask(number: int) -> None:
        channels: list[grpc.Channel] = []
        infer = stub(server, channels).ModelInfer
        half = ("full", "tail")[number % 2]
        for turn in range(24):
            k = (7 * number + turn) % len(distinct)
            if turn % 8 == 5:
                call = infer.future(payload_request(half, [b"?"]), timeout=20)
                if call.code() != grpc.StatusCode.INVALID_ARGUMENT:
                    problems.append(call)
                continue
            found = logits(infer(payload_request(half, [payloads[half][k]]), timeout=20))
            if not np.allclose(found, expected[half][k], atol=1e-4):
                problems.append((number, turn))
        channels[0].close()

    with Server([toy_bundle], concurrency=2) as server:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert server.waiting == 0
    assert not problems
    assert len({tuple(np.round(row, 3)) for row in expected["full"]}) == len(distinct), "else nothing could be mixed up"
