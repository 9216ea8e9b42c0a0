"""What edge and cloud say to each other: names and limits of the protocol, and how BYTES tensors are packed.

The protocol is KServe v2 (Open Inference Protocol) over gRPC. One model per cloud half; its input ``payload`` is a
BYTES tensor ``[batch]`` with one encoded sample per element, its output ``logits`` is FP32 ``[batch, classes]``.
Tensors travel as raw contents: little-endian, row-major; an element of a BYTES tensor is its length (uint32) and
then its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

SERVICE = "inference.GRPCInferenceService"
MODEL_VERSION = "1"

PAYLOAD = "payload"
"""The input of every model; a BYTES tensor."""
LOGITS = "logits"

CODEC = "codec"
"""Request parameter, a string: the codec of the payloads; absent: the deployment's."""
PAIR_ID = "pair_id"
"""Request parameter, a string; also a parameter of the model's configuration. Another pair's request is refused."""
QUEUE_NS = "queue_ns"
"""Response parameter: waiting for an engine. This and the next three are int64, in nanoseconds."""
DECODE_NS = "decode_ns"
"""Response parameter: payload codec and preprocessing."""
COMPUTE_NS = "compute_ns"
"""Response parameter: the engine."""
SERVER_NS = "server_ns"
"""Response parameter: the whole handler, the three above included."""

MAX_BATCH = 64
"""Samples in one request at most."""
MAX_CODEC_LENGTH = 64
"""Characters of a codec's name at most."""
MIN_MESSAGE_BYTES = 64 * 1024
"""A server accepts requests of at least this size, whatever its models take."""

DATATYPES = {"uint8": "UINT8", "int8": "INT8", "float32": "FP32"}
"""The protocol's names of the dtypes in a manifest."""

_LENGTH = struct.Struct("<I")


def pack_bytes(elements: Sequence[bytes]) -> bytes:
    """The raw contents of a BYTES tensor."""
    parts: list[bytes] = []
    for element in elements:
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def unpack_bytes(raw: bytes, count: int) -> list[memoryview]:
    """The ``count`` elements of a BYTES tensor, as views into ``raw``; raises ValueError for any other contents."""
    view = memoryview(raw)
    elements: list[memoryview] = []
    at = 0
    for index in range(count):
        if len(view) - at < _LENGTH.size:
            raise ValueError(f"element {index} of {count} is missing")
        (length,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if length > len(view) - at:
            raise ValueError(f"element {index} says {length} bytes and {len(view) - at} follow")
        elements.append(view[at : at + length])
        at += length
    if at != len(view):
        raise ValueError(f"{len(view) - at} bytes follow the last of {count} elements")
    return elements
