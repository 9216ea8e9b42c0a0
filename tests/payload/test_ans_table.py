from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.ans_table import MAGIC, MIN_SAMPLES, SCALE, fit, load_table, pack_table, shape_of
from tests.payload.tables import fitted_table, sparse_codes, whole_number_table

BITS = (1, 2, 4, 8)


@pytest.mark.parametrize("bits", BITS)
def test_what_is_fitted_is_a_whole_table(bits: int) -> None:
    codes = sparse_codes(64, (3, 5, 7), bits)
    frequencies = load_table(fit(codes, bits), 3, bits)
    assert frequencies.shape == shape_of(3, bits)
    assert frequencies.min() >= 1
    assert (frequencies.sum(axis=-1) == SCALE).all()
    assert fit(codes, bits) == fit(codes.copy(), bits)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_frequencies_are_those_of_the_samples(bits: int) -> None:
    """Codes that do not depend on anything: the context must not matter, and the order of symbols is known."""
    chances = np.arange(1, 2**bits + 1) / sum(range(1, 2**bits + 1))
    codes = np.random.default_rng(0).choice(2**bits, (512, 1, 8, 8), p=chances).astype(np.uint8)
    frequencies = load_table(fit(codes, bits), 1, bits)[0] / SCALE
    expected = np.ones(1)
    for _ in range(4 // bits):
        expected = (chances[:, None] * expected).reshape(-1)
    weights = np.outer(np.r_[0.125, 0.875 * expected], np.r_[0.25, 0.75 * chances])  # how often a context is met
    assert np.abs((frequencies * weights[..., None]).sum(axis=(0, 1)) - expected).max() < 0.01


def test_unseen_symbols_are_as_likely_as_their_codes() -> None:
    """Two channels: the one has never seen 3 after 3, but both often; the other has never seen 3."""
    codes = np.random.default_rng(0).integers(0, 3, (MIN_SAMPLES, 2, 4, 8), dtype=np.uint8)
    codes[:, 0, :, 1::2] = codes[:, 0, :, ::2] = np.where(codes[:, 0, :, ::2] == 2, 3, codes[:, 0, :, ::2])
    codes[:, 0, :, 1::2] = np.where(codes[:, 0, :, 1::2] == 3, 0, 1)
    seen, unseen = load_table(fit(codes, 2), 2, 2)
    assert seen[0, 0, 3 | 3 << 2] >= unseen[0, 0, 3 | 3 << 2]
    assert unseen[0, 0, 3 | 3 << 2] <= 2


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.zeros((64, 2, 4, 4), np.uint8), 3, "1, 2, 4 or 8 bits, not 3"),
        (np.zeros((64, 4, 4), np.uint8), 2, "fitted on uint8"),
        (np.zeros((64, 2, 4, 4), np.float32), 2, "not float32"),
        (np.zeros((64, 2, 0, 4), np.uint8), 2, "fitted on uint8"),
        (np.zeros((63, 2, 4, 4), np.uint8), 2, "63 samples are too few"),
        (np.zeros((64, 257, 1, 1), np.uint8), 2, "at most 256 channels"),
        (np.full((64, 2, 4, 4), 4, np.uint8), 2, "the code 4 does not fit into 2 bits"),
    ],
)
def test_what_cannot_be_fitted(codes: np.ndarray, bits: int, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        fit(codes, bits)


def header(bits: int = 2, channels: int = 4) -> bytes:
    return MAGIC + bytes([bits]) + channels.to_bytes(2, "little")


SIZE = 2 * int(np.prod(shape_of(4, 2)))
FLAT = np.full(SIZE // 2, SCALE // 16 - 1, "<u2").tobytes()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "does not begin"),
        (MAGIC, "does not begin"),
        (b"ECCANS\x00\x02" + header()[8:] + zlib.compress(FLAT), "does not begin"),
        (header(4) + zlib.compress(FLAT), "for 4 channels of 4 bits, not 4 of 2"),
        (header(2, 65535) + zlib.compress(FLAT), "for 65535 channels"),
        (header(), "damaged"),
        (header() + b"nonsense", "damaged"),
        (header() + zlib.compress(FLAT)[:-1], "damaged"),
        (header() + zlib.compress(FLAT) + b"\0", "damaged"),
        (header() + zlib.compress(FLAT[:-2]), "damaged"),
        (header() + zlib.compress(FLAT + b"\0"), "damaged"),
        (header() + zlib.compress(bytes(SIZE)), "add up to 4096"),
        (header() + zlib.compress(b"\xff" * SIZE), "add up to 4096"),
        (header() + zlib.compress(FLAT[:-2] + b"\0\1"), "add up to 4096"),
    ],
)
def test_a_table_that_is_none(table: bytes, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        load_table(table, 4, 2)


def test_a_flat_table() -> None:
    assert (load_table(header() + zlib.compress(FLAT), 4, 2) == SCALE // 16).all()


def test_a_bomb_takes_no_memory() -> None:
    bomb = header() + zlib.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="size that its header states"):
            load_table(bomb, 4, 2)
        assert tracemalloc.get_traced_memory()[1] < 4 * SIZE + 10 * len(bomb)
    finally:
        tracemalloc.stop()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_a_damaged_table_is_refused_or_the_same(place: int, damage: bytes) -> None:
    table = bytearray(fitted_table((4, 7, 7), 2))
    place %= len(table)
    table[place : place + len(damage)] = damage
    if bytes(table) != fitted_table((4, 7, 7), 2):
        with pytest.raises(PayloadError):
            load_table(bytes(table), 4, 2)


@pytest.mark.parametrize("bits", BITS)
def test_it_is_read_as_it_was_written(bits: int) -> None:
    table = whole_number_table(2, bits)
    assert pack_table(load_table(table, 2, bits), 2, bits) == table
