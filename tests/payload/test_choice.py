from __future__ import annotations

import numpy as np
import pytest

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.ans_table import fit
from ecc_deploy.payload.choice import boundary_candidates, choose, fitted, mean_bytes, through
from tests.payload.tables import sparse_codes

SHAPE = (4, 7, 7)
TENSOR = TensorSpec("uint8", SHAPE)
WITH_TABLE = boundary_candidates(2, with_table=True)


def test_the_candidates_of_a_boundary() -> None:
    assert boundary_candidates(4) == ("int4", "int4+zstd", "int4+delta+zstd")
    assert boundary_candidates(4, with_table=True) == (*boundary_candidates(4), "int4+ans")
    assert boundary_candidates(16, with_table=True) == ("float16", "float16+zstd", "float16+delta+zstd")


def test_the_fewest_bytes_win() -> None:
    codes = np.zeros((9, *SHAPE), np.uint8)
    codec = choose("auto", boundary_candidates(2), TENSOR, codes)
    assert codec is make_codec("int2+zstd", TENSOR)
    assert mean_bytes(codec, codes) < mean_bytes(make_codec("int2", TENSOR), codes)


def test_a_table_is_fitted_on_all_samples() -> None:
    codes = sparse_codes(120, SHAPE, 2)
    codec = choose("auto", WITH_TABLE, TENSOR, codes)
    assert codec.spec == "int2+ans"
    assert codec.table == fit(codes, 2)
    assert (through(codec, codes[:3]) == codes[:3]).all()


def test_a_table_is_judged_on_samples_that_it_was_not_fitted_on() -> None:
    """The last third is noise that no table of the first two can shorten; a table of all would."""
    rng = np.random.default_rng(0)
    codes = np.zeros((300, *SHAPE), np.uint8)
    codes[200:] = np.where(rng.random((100, *SHAPE)) < 0.5, 3, 2)
    assert choose("auto", ("int2", "int2+ans"), TENSOR, codes).spec == "int2"
    assert mean_bytes(fitted("int2+ans", TENSOR, codes), codes) < 49


@pytest.mark.parametrize(("samples", "tensor"), [(95, TENSOR), (120, TensorSpec("uint8", (196,)))])
def test_no_table_where_it_cannot_be_fitted(samples: int, tensor: TensorSpec) -> None:
    codes = sparse_codes(samples, tensor.shape, 2)
    codec = choose("auto", WITH_TABLE, tensor, codes)
    assert codec.table is None
    with pytest.raises(PayloadError):
        choose("int2+ans", WITH_TABLE, tensor, codes[:63])


def test_the_codec_that_is_wanted() -> None:
    codes = sparse_codes(64, SHAPE, 2)
    assert choose("int2+delta", WITH_TABLE, TENSOR, codes).spec == "int2+delta"
    assert choose("int2+ans", WITH_TABLE, TENSOR, codes).table == fit(codes, 2)
    signed = TensorSpec("int8", SHAPE)
    codec = choose("int8+ans", (), signed, codes.view(np.int8))
    assert (through(codec, codes.view(np.int8)) == codes).all()
    for wrong in ("float32+ans", "png+ans", "int3+ans"):
        with pytest.raises(PayloadError):
            choose(wrong, WITH_TABLE, TENSOR, codes)
