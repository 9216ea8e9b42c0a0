"""Why a request is not answered: a status of gRPC and a sentence for the caller."""

from __future__ import annotations

import grpc


class RefusalError(Exception):
    """Ends a request with ``code``; ``message`` says what is wrong with it."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> RefusalError:
    """The request is not one that any server of this protocol could answer."""
    return RefusalError(grpc.StatusCode.INVALID_ARGUMENT, message)


def quoted(text: str, limit: int = 80) -> str:
    """Somebody else's text, safe and short enough for a message or a log line."""
    return ascii(text if len(text) <= limit else text[:limit] + "…")
