"""How much of a request may be structure. Looked at before it is parsed, because parsing is what costs memory."""

from __future__ import annotations

from ecc_deploy import wire
from ecc_deploy.serving.refusal import invalid

_RAW = 7
"""The field ``raw_input_contents`` of ModelInferRequest."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PER_FIELD = 16


def check_structure(message: bytes) -> None:
    """Refuse a serialized ModelInferRequest that is large beside its ``raw_input_contents``.

    A tensor as raw contents takes what it has bytes; but an empty tensor of two bytes takes a hundred once parsed, so
    64 MiB of them would take three GB. What is not raw contents may have ``wire.MIN_MESSAGE_BYTES``. Raises
    :class:`RefusalError`; a message that is none is left to the parser.
    """
    other, at, end = 0, 0, len(message)
    while at < end and other <= wire.MIN_MESSAGE_BYTES:
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            other += 0 if tag >> 3 == _RAW else length
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            return
        other += min(at - start, _PER_FIELD)
    if other > wire.MIN_MESSAGE_BYTES:
        raise invalid(
            f"the request has more than {wire.MIN_MESSAGE_BYTES} bytes beside raw_input_contents, where tensors go"
        )


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where it ends; past the end of the message where it does not end in time."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(message)
