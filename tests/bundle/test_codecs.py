"""What crosses the link of a bundle, and the codec's table in it."""

from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle, Manifest, hash_file, open_bundle, write_bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.errors import BundleError, PayloadError
from ecc_deploy.serving.model import CloudModel
from tests import reference
from tests.bundle.test_store import refill
from tests.toy import TABLE, samples


def with_table(bundle: Bundle, out: Path, table: bytes) -> Bundle:
    """A consistent bundle with another table."""

    def fill(folder: Path) -> Manifest:
        manifest = refill(bundle, folder)
        (folder / TABLE).write_bytes(table)
        return manifest.model_copy(update={"files": {**manifest.files, TABLE: hash_file(folder / TABLE)}})

    return write_bundle(out, fill)


def test_both_kinds_of_what_is_sent(rich_bundle: Bundle) -> None:
    boundary, image = sent(rich_bundle, "toy"), sent(rich_bundle, None)
    assert (boundary.tensor.dtype, boundary.tensor.shape) == ("uint8", (1, 4, 4))
    assert (image.tensor.dtype, image.tensor.shape) == ("uint8", (8, 8, 1))
    assert boundary.table == (rich_bundle.path / TABLE).read_bytes()
    assert image.table is None


def test_a_codec_gets_the_table_where_it_takes_one(rich_bundle: Bundle) -> None:
    boundary = sent(rich_bundle, "toy")
    codes = reference.codes(samples(1, seed=4).images)[0]
    for spec in ("int4+ans", "int4", "int8+delta+zstd"):
        codec = boundary.codec(spec)
        assert codec.spec == spec
        assert codec.table == (boundary.table if spec == "int4+ans" else None)
        assert (codec.decode(codec.encode(codes)) == codes).all()


def test_without_a_table_a_codec_that_needs_one_cannot_be(toy_bundle: Bundle) -> None:
    with pytest.raises(PayloadError, match="needs the table"):
        sent(toy_bundle, "toy").codec("int4+ans")


def test_the_table_is_part_of_what_is_verified(rich_bundle: Bundle, tmp_path: Path) -> None:
    whole = (rich_bundle.path / TABLE).read_bytes()
    copy = with_table(rich_bundle, tmp_path / "b", whole)
    other = whole[:-1] + bytes([whole[-1] ^ 1])
    for content, says in ((other, "is not the file"), (whole + b"\0", "has"), (b"", "has 0 bytes")):
        (copy.path / TABLE).write_bytes(content)
        with pytest.raises(BundleError, match=f"{TABLE} {says}"):
            open_bundle(copy.path)
    (copy.path / TABLE).unlink()
    with pytest.raises(BundleError, match=f"{TABLE} is missing"):
        open_bundle(copy.path)


@pytest.mark.parametrize("table", [b"", b"no table at all", b"ECCANS\x00\x01" + bytes(20)])
def test_a_table_that_is_none_is_an_error_of_the_user(rich_bundle: Bundle, tmp_path: Path, table: bytes) -> None:
    broken = with_table(rich_bundle, tmp_path / "b", table)
    with pytest.raises(PayloadError, match="table"):
        sent(broken, "toy").codec("int4+ans")
    with pytest.raises(PayloadError, match="table"):
        CloudModel(broken, "tail", 1)
