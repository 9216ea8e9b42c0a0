"""Reads an inference request: everything that a stranger may have written, checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.serving.bounded import check_structure
from ecc_deploy.serving.catalog import Catalog
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import invalid, quoted


@dataclass(frozen=True)
class Request:
    """A checked request: ``batch`` samples for ``model``, as ``payloads`` of ``codec`` or as ``direct`` tensor."""

    model: CloudModel
    name: str
    id: str
    batch: int
    codec: str | None
    payloads: list[memoryview]
    direct: np.ndarray | None
    """``[batch, *model.sent.shape]``, where the tensor came without a codec."""


def read_request(message: bytes, catalog: Catalog) -> Request:
    """Parse and check a serialized ModelInferRequest. Raises :class:`RefusalError` naming what is wrong with it."""
    check_structure(message)
    try:
        infer = service_pb2.ModelInferRequest.FromString(message)
    except DecodeError as error:
        raise invalid("the request is not a ModelInferRequest") from error
    codec, pair_id = _text(infer, wire.CODEC), _text(infer, wire.PAIR_ID)
    model = catalog.find(infer.model_name, infer.model_version, pair_id)
    for output in infer.outputs:
        if output.name != wire.LOGITS or output.parameters:
            raise invalid(f"the only output is {wire.LOGITS!r}, without parameters; asked for {quoted(output.name)}")
    if len(infer.inputs) != 1:
        raise invalid(f"one input is wanted, {wire.PAYLOAD!r}; the request has {len(infer.inputs)}")
    tensor = infer.inputs[0]
    if tensor.parameters:
        raise invalid(f"parameters of an input are not known here: {quoted(', '.join(tensor.parameters))}")
    shape = tuple(tensor.shape)
    if not shape or not 1 <= shape[0] <= model.max_batch:
        raise invalid(f"the shape {list(shape)[:8]} has no batch of 1 to {model.max_batch} in front")
    if tensor.name == wire.PAYLOAD:
        payloads, direct = _payloads(infer, tensor, shape), None
    elif tensor.name == model.direct_input:
        if codec is not None:
            raise invalid(f"a codec goes with the input {wire.PAYLOAD!r}, not with {tensor.name!r}")
        payloads, direct = [], _direct(infer, tensor, shape, model)
    else:
        raise invalid(
            f"there is no input {quoted(tensor.name)}; the inputs are {wire.PAYLOAD!r} (BYTES) or "
            f"{model.direct_input!r} ({wire.DATATYPES[model.sent.dtype]})"
        )
    return Request(model, infer.model_name, infer.id, shape[0], codec, payloads, direct)


def _text(infer: Any, name: str) -> str | None:
    if name not in infer.parameters:
        return None
    parameter = infer.parameters[name]
    if parameter.WhichOneof("parameter_choice") != "string_param":
        raise invalid(f"the parameter {name!r} must be a string")
    text: str = parameter.string_param
    return text


def _payloads(infer: Any, tensor: Any, shape: tuple[int, ...]) -> list[memoryview]:
    if tensor.datatype != "BYTES" or len(shape) != 1:
        raise invalid(
            f"{wire.PAYLOAD!r} is BYTES of shape [batch], not {quoted(tensor.datatype)} of shape {list(shape)[:8]}"
        )
    if not infer.raw_input_contents and tensor.contents.bytes_contents:
        elements = [memoryview(element) for element in tensor.contents.bytes_contents]
        if len(elements) != shape[0]:
            raise invalid(f"bytes_contents has {len(elements)} elements, the shape says {shape[0]}")
        return elements
    try:
        return wire.unpack_bytes(_raw(infer), shape[0])
    except ValueError as error:
        raise invalid(f"the contents of {wire.PAYLOAD!r} are not a BYTES tensor: {error}") from error


def _direct(infer: Any, tensor: Any, shape: tuple[int, ...], model: CloudModel) -> np.ndarray:
    datatype = wire.DATATYPES[model.sent.dtype]
    if tensor.datatype != datatype or shape[1:] != model.sent.shape:
        raise invalid(
            f"{tensor.name!r} is {datatype} of shape {['batch', *model.sent.shape]}, not {quoted(tensor.datatype)} of "
            f"shape {list(shape)[:8]}"
        )
    raw = _raw(infer)
    dtype = np.dtype(model.sent.dtype).newbyteorder("<")
    expected = shape[0] * model.sent.elements * dtype.itemsize
    if len(raw) != expected:
        raise invalid(f"{tensor.name!r} has {len(raw)} bytes, its shape and datatype say {expected}")
    return np.frombuffer(raw, dtype).reshape(shape)


def _raw(infer: Any) -> bytes:
    if len(infer.raw_input_contents) != 1:
        raise invalid(f"one entry of raw_input_contents is wanted; the request has {len(infer.raw_input_contents)}")
    raw: bytes = infer.raw_input_contents[0]
    return raw
