from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.grammar import Spec, parse
from ecc_deploy.payload.registry import families

BOUNDARY = TensorSpec("uint8", (4, 7, 7))
SIGNED = TensorSpec("int8", (4, 7, 7))
FLOAT = TensorSpec("float32", (4, 7, 7))
IMAGE = TensorSpec("uint8", (28, 28, 1))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("int4", "int4"),
        ("int4+zstd", "int4+zstd"),
        ("int4+zstd:1", "int4+zstd"),
        ("int4+zstd:01", "int4+zstd"),
        ("int4+delta+zstd:19", "int4+delta+zstd:19"),
        ("float16+delta", "float16+delta"),
        ("jpeg:080", "jpeg:80"),
        ("webp-lossless", "webp-lossless"),
    ],
)
def test_two_spellings_have_one_canonical_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical
    tensor = FLOAT if text.startswith("float") else BOUNDARY if text.startswith("int") else IMAGE
    assert make_codec(text, tensor).spec == canonical
    assert make_codec(canonical, tensor).spec == canonical


@given(
    st.sampled_from(["int8", "webp-lossless"]),
    st.none() | st.integers(0, 9999),
    st.booleans(),
    st.none() | st.integers(1, 19),
)
def test_the_canonical_text_parses_to_the_same(name: str, quality: int | None, delta: bool, level: int | None) -> None:
    spec = Spec(name, quality, delta, level)
    assert parse(str(spec)) == spec
    alone = Spec(name, quality, ans=True)
    assert parse(str(alone)) == alone


@settings(max_examples=100)
@given(st.text(max_size=80) | st.text("int4:+zstdela0189", max_size=20))
def test_any_text_is_a_codec_or_an_error(text: str) -> None:
    with suppress(PayloadError):
        codec = make_codec(text, BOUNDARY)
        assert parse(codec.spec) == parse(text)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "does not begin with the name", "NAME"),
        ("+zstd", "does not begin with the name", "NAME"),
        ("Int4", "does not begin with the name", "NAME"),
        ("int4 ", "does not begin with the name", "NAME"),
        ("int5", "no codec named 'int5'", "int8, int4, int2, int1, float32"),
        ("int4+gzip", "unknown stage 'gzip'", "delta and zstd"),
        ("int4+ans", "int4+ans needs the table", "bundle"),
        ("int4+ans:2", "unknown stage 'ans'", "ans"),
        ("int4+ans+ans", "more stages than ans", "int4+ans."),
        ("int4+delta+ans", "more stages than ans", "int4+ans."),
        ("int4+ans+zstd", "more stages than ans", "int4+ans."),
        ("float32+ans", "float32 cannot be followed by ans", "float32"),
        ("png+ans", "png cannot be followed by ans", "png"),
        ("int3+ans", "no codec named 'int3'", "int4"),
        ("int4+", "unknown stage ''", "delta and zstd"),
        ("int4+zstd+zstd:2", "stage zstd twice", "once"),
        ("int4+delta+delta", "stage delta twice", "once"),
        ("int4+zstd+delta", "delta after zstd", "int4+delta+zstd"),
        ("int4+delta:2", "gives delta a number", "none"),
        ("int4+zstd:0", "zstd level 0", "1 to 19"),
        ("int4+zstd:20", "zstd level 20", "1 to 19"),
        ("int4+zstd:", "'' where a number should be", "NAME"),
        ("int4+zstd:-1", "'-1' where a number should be", "NAME"),
        ("int4+zstd:٣", "where a number should be", "NAME"),
        ("int4:3", "int4 takes no number", "NAME"),
        ("jpeg", "without its quality", "1 to 100: jpeg:80"),
        ("webp:0", "with quality 0", "1 to 100: webp:80"),
        ("webp:101", "with quality 101", "1 to 100"),
        ("webp-lossless:80", "takes no number", "NAME"),
        ("png+zstd", "png cannot be followed by zstd", "png"),
        ("raw+delta", "raw cannot be followed by delta", "raw"),
        ("i" * 65, "more than 64 characters", "NAME"),
    ],
)
def test_what_is_wrong_with_a_spec(text: str, message: str, hint: str) -> None:
    with pytest.raises(PayloadError) as caught:
        make_codec(text, BOUNDARY)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "tensor", "suitable"),
    [
        ("int4", SIGNED, "int8."),
        ("int8", FLOAT, "float32, float16."),
        ("float16", BOUNDARY, "int8, int4, int2, int1."),
        ("png", BOUNDARY, "int8, int4, int2, int1."),
        ("webp:80", TensorSpec("uint8", (16384, 2, 3)), "raw, png, jpeg:QUALITY."),
        ("jpeg:80", TensorSpec("uint8", (28, 28, 4)), "int8, int4, int2, int1."),
        ("raw", TensorSpec("float32", (28, 28, 1)), "float32, float16."),
    ],
)
def test_a_codec_that_does_not_suit_the_tensor(text: str, tensor: TensorSpec, suitable: str) -> None:
    with pytest.raises(PayloadError) as caught:
        make_codec(text, tensor)
    assert f"not {tensor.dtype} {tensor.shape}" in caught.value.message
    assert caught.value.hint.endswith(suitable)


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), (2.0,), [4, 7, 7], "ab"])
def test_a_shape_that_is_none(shape: object) -> None:
    with pytest.raises(PayloadError, match="cannot have the shape"):
        make_codec("int8", TensorSpec("uint8", shape))


def test_a_dtype_or_spec_that_is_none() -> None:
    with pytest.raises(PayloadError, match="cannot be float64"):
        make_codec("int8", TensorSpec("float64", (2,)))
    for spec in (None, 4, ["int4"], b"int4"):
        with pytest.raises(PayloadError, match="named by text"):
            make_codec(spec, BOUNDARY)


def test_codecs_are_made_once_and_from_any_thread() -> None:
    with ThreadPoolExecutor(8) as pool:
        codecs = list(pool.map(lambda i: make_codec(f"int4+zstd:{i % 19 + 1}", BOUNDARY), range(95)))
    assert {codec.spec for codec in codecs} == {f"int4+zstd:{i}" if i > 1 else "int4+zstd" for i in range(1, 20)}
    assert make_codec("int4+zstd:7", BOUNDARY) is make_codec("int4+zstd:7", BOUNDARY)


def test_every_family_makes_a_codec() -> None:
    assert len(families()) == 11
    for family in families():
        tensors = [t for t in (BOUNDARY, SIGNED, FLOAT, IMAGE) if family.suits(t)]
        assert tensors
        for tensor in tensors:
            codec = make_codec(family.usage.replace("QUALITY", "80"), tensor)
            assert codec.tensor == tensor
            assert codec.decode(codec.encode(np.zeros(tensor.shape, tensor.dtype))).shape == tensor.shape


def test_codecs_import_only_what_they_need() -> None:
    program = """
import sys
from ecc_deploy.payload import TensorSpec, make_codec
make_codec("int4+delta", TensorSpec("uint8", (4, 7, 7)))
assert not {"PIL", "zstandard", "torch", "onnx", "pydantic"} & set(sys.modules), "int4"
make_codec("int4+zstd", TensorSpec("uint8", (4, 7, 7)))
assert "zstandard" in sys.modules and "PIL" not in sys.modules, "zstd"
make_codec("webp:80", TensorSpec("uint8", (28, 28, 1)))
assert "PIL.WebPImagePlugin" in sys.modules and "PIL.TiffImagePlugin" not in sys.modules, "webp"
assert not {"torch", "onnx"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
