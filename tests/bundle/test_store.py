"""A bundle is written whole or not at all."""

import hashlib
import json
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle, Manifest, hash_file, open_bundle, write_bundle
from ecc_deploy.errors import BundleError
from tests.toy import make_bundle


def refill(bundle: Bundle, folder: Path) -> Manifest:
    """Write the files of ``bundle`` into ``folder``."""
    for name in bundle.manifest.files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bundle.file(name).read_bytes())
    return bundle.manifest


def tree(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_what_is_written_opens_and_lists_every_file(toy_bundle: Bundle) -> None:
    opened = open_bundle(toy_bundle.path)
    assert opened == toy_bundle
    assert sorted(tree(toy_bundle.path)) == sorted([*opened.manifest.files, "manifest.json"])
    for name, facts in opened.manifest.files.items():
        content = opened.file(name).read_bytes()
        assert (facts.bytes, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert json.loads((toy_bundle.path / "manifest.json").read_bytes())["pair_id"] == opened.manifest.pair_id


def test_others_may_read_it(toy_bundle: Bundle) -> None:
    assert toy_bundle.path.stat().st_mode & 0o777 == 0o755


def test_the_same_files_make_the_same_bundle(toy_bundle: Bundle, tmp_path: Path) -> None:
    again = make_bundle(tmp_path / "again")
    assert tree(again.path) == tree(toy_bundle.path)


def test_the_pair_id_is_of_everything_but_the_time(toy_bundle: Bundle) -> None:
    manifest = toy_bundle.manifest
    assert manifest.model_copy(update={"created": "2027-01-01T00:00:00Z"}).pair_id == manifest.pair_id
    for change in ({"name": "x"}, {"dataset": "x"}, {"toolchain": {}}, {"fallback": "exit-and-encode"}):
        assert manifest.model_copy(update=change).pair_id != manifest.pair_id


def test_a_failing_fill_leaves_nothing(toy_bundle: Bundle, tmp_path: Path) -> None:
    def fail(folder: Path) -> Manifest:
        refill(toy_bundle, folder)
        raise RuntimeError("no more disk")

    with pytest.raises(RuntimeError, match="no more disk"):
        write_bundle(tmp_path / "deep" / "bundle", fail)
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_failing_fill_leaves_the_bundle_that_was_there(toy_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write_bundle(out, lambda folder: refill(toy_bundle, folder))
    before = tree(out)

    def fail(folder: Path) -> Manifest:
        (folder / "edge").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bundle(out, fail)
    assert tree(out) == before
    assert list(tmp_path.iterdir()) == [out]


def test_a_bundle_is_replaced_by_a_new_one(toy_bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    write_bundle(out, lambda folder: refill(toy_bundle, folder))
    written = write_bundle(out, lambda folder: refill(other_bundle, folder))
    assert written.manifest == open_bundle(out).manifest == other_bundle.manifest
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_anything_else_is_not_replaced(toy_bundle: Bundle, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "precious"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("years of work")
    else:
        out.write_text("years of work")
    with pytest.raises(BundleError, match="exists and is not a bundle") as error:
        write_bundle(out, lambda folder: refill(toy_bundle, folder))
    assert "--out" in error.value.hint
    assert list(tmp_path.iterdir()) == [out]
    assert (out / "thesis.tex" if kind == "folder" else out).read_text() == "years of work"


def test_a_file_that_is_not_listed_is_not_handed_out(toy_bundle: Bundle) -> None:
    for name in ("manifest.json", "edge/none.onnx", "../x"):
        with pytest.raises(BundleError, match="lists no file"):
            toy_bundle.file(name)


def test_hash_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    found = hash_file(tmp_path / "x")
    assert found.bytes == 3
    assert found.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
