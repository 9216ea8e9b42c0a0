import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.devices.frames import Frame, FrameReader, ProtocolError, document, encoded, shown


def reader(content: bytes, step: int = 7, most: int = 1000) -> FrameReader:
    pieces = iter([content[i : i + step] for i in range(0, len(content), step)])
    return FrameReader(lambda: next(pieces, b""), most)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.dictionaries(st.text(max_size=5), st.integers()), st.binary(max_size=90))
    ),
    st.integers(1, 50),
)
def test_what_is_said_is_heard(frames: list[tuple[str, dict[str, int], bytes]], step: int) -> None:
    listening = reader(b"".join(encoded(*frame) for frame in frames), step)
    assert [listening.frame() for _ in frames] == [Frame(*frame) for frame in frames]
    assert listening.frame() is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_anything_else_is_an_error_or_an_end(content: bytes) -> None:
    listening = reader(content)
    with contextlib.suppress(ProtocolError):
        while (frame := listening.frame()) is not None:
            assert len(frame.body) <= len(content)


@pytest.mark.parametrize(
    "content",
    [
        b"x" * (300 << 10) + b"\n",
        b'{"kind": "a", "facts": {}, "bytes": 1001}\n',
        b'{"kind": "a", "facts": {}, "bytes": true}\n',
        b'{"kind": "a", "facts": [], "bytes": 0}\n',
        b'{"kind": "a", "facts": {}, "bytes": 2}\nx',
        b'{"kind": "a", "facts": {}',
        b"[" * 50_000 + b"\n",
    ],
)
def test_what_is_too_large_or_cut_short(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        reader(content, 4096).frame()


def test_texts_of_another_machine_do_not_steer_this_terminal() -> None:
    assert shown("\x1b[2Jhello\n") == "\N{REPLACEMENT CHARACTER}[2Jhello\N{REPLACEMENT CHARACTER}"
    assert len(shown("x" * 1000)) == 201
    assert document(b'{"a\\u001b": ["\\u0007", 1, [2.5, null]]}') == {
        "a\N{REPLACEMENT CHARACTER}": ["\N{REPLACEMENT CHARACTER}", 1, [2.5, None]]
    }
    for wrong in (b"", b"\xff", b"[" * 100_000):
        with pytest.raises(ProtocolError):
            document(wrong)
