"""What the edge runtime needs of the cloud: an answer, a reason why there is none, and a way to ask for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import numpy as np

from ecc_deploy.runtime.result import Reason

_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE,
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Reason.UNAVAILABLE,  # the server went while it worked, or this client was closed
}


@dataclass(frozen=True)
class CloudAnswer:
    """What the cloud said about one sample. ``logits``: float32 ``[classes]``; times in milliseconds.

    ``round_trip_ms`` is measured here, around the call; the others are the server's word, cut to the round trip:
    ``server_ms`` is its whole handler, of which ``queue_ms``, ``decode_ms`` and ``compute_ms`` are parts.
    """

    logits: np.ndarray
    round_trip_ms: float
    server_ms: float
    queue_ms: float
    decode_ms: float
    compute_ms: float
    requests: int = 1
    """How often the payload was sent for it."""


class CloudError(Exception):
    """The cloud gave no answer: ``reason`` is a fallback's, mostly DEADLINE, UNAVAILABLE or REFUSED.

    ``detail`` says what happened; ``is_fault`` whether cloud or link are to blame, and not who asked. ``requests``: how
    often the payload was sent.
    """

    def __init__(self, reason: Reason, detail: str, *, is_fault: bool = True, requests: int = 1) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.is_fault = is_fault
        self.requests = requests


class Cloud(Protocol):
    """What answers samples: :class:`~ecc_deploy.runtime.client.CloudClient`, or several of them behind one face."""

    @property
    def pair_id(self) -> str:
        """Of the bundle that it answers for."""
        ...

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> CloudAnswer:
        """One sample's answer within ``deadline_s`` seconds. Raises :class:`CloudError` and nothing else."""
        ...

    def submit(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Future[CloudAnswer]:
        """The same without waiting. The future's exception is a :class:`CloudError`; cancelling it ends the request."""
        ...


def cloud_error(error: grpc.RpcError, explained: Callable[[str], str] = lambda detail: detail) -> CloudError:
    """What the status of a failed call means to the edge; ``explained`` says what the detail of UNAVAILABLE means."""
    code, detail = error.code(), error.details()
    if code == grpc.StatusCode.UNAVAILABLE:
        detail = explained(detail)
    return CloudError(_REASONS.get(code, Reason.REFUSED), f"{code.name}: {detail}")


def failed(error: CloudError) -> Future[CloudAnswer]:
    """A future that has failed already."""
    future: Future[CloudAnswer] = Future()
    future.set_exception(error)
    return future


def as_future(
    call: Any, read: Callable[[Any], CloudAnswer], explained: Callable[[str], str] = lambda detail: detail
) -> Future[CloudAnswer]:
    """The future of a gRPC ``call`` under way; ``read`` checks its response, and may raise :class:`CloudError`.

    ``explained``: as for :func:`cloud_error`.

    A standard future, so that it can be waited for by threads and by asyncio alike. It is settled on gRPC's own
    thread; who cancels it ends the request at the server too.
    """
    future: Future[CloudAnswer] = Future()

    def settle(done: Any) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(read(done.result()))
        except CloudError as error:
            future.set_exception(error)
        except grpc.RpcError as error:
            future.set_exception(cloud_error(error, explained))
        except grpc.FutureCancelledError:
            future.set_exception(CloudError(Reason.UNAVAILABLE, "the request was cancelled", is_fault=False))
        except Exception as error:  # a bug of ours; who waits must hear of it, not wait for ever
            future.set_exception(error)

    def end_if_cancelled(given: Future[CloudAnswer]) -> None:
        if given.cancelled():
            call.cancel()

    call.add_done_callback(settle)
    future.add_done_callback(end_if_cancelled)
    return future


def outcome_of(done: Future[CloudAnswer]) -> CloudAnswer | CloudError | None:
    """What a future that is done has come to; ``None``: it was cancelled. Raises what is a bug of ours."""
    if done.cancelled():
        return None
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, CloudError):
        return error
    raise error
