"""Whatever happens to a bundle after it was made, opening it is a BundleError that says what and where."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecc_deploy.bundle import Bundle, Manifest, open_bundle
from ecc_deploy.bundle.manifest import canonical
from ecc_deploy.bundle.store import MAX_MANIFEST_BYTES
from ecc_deploy.errors import BundleError

FILES = (
    "cloud/full.onnx",
    "cloud/tail.onnx",
    "edge/encode.onnx",
    "edge/exit-and-encode.onnx",
    "edge/exit.onnx",
    "golden/samples.safetensors",
)
EDITS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def copy(toy_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle.path, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def scratch(toy_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for tests of many examples, each of which puts back what it changed."""
    return Path(shutil.copytree(toy_bundle.path, tmp_path_factory.mktemp("scratch") / "bundle"))


def refused(path: Path, says: str = "") -> BundleError:
    with pytest.raises(BundleError, match=says or None) as error:
        open_bundle(path)
    assert str(path) in error.value.message
    assert error.value.hint
    return error.value


def test_an_untouched_copy_opens(copy: Path, toy_bundle: Bundle) -> None:
    assert open_bundle(copy).manifest == toy_bundle.manifest
    assert sorted(toy_bundle.manifest.files) == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte_of_a_file(scratch: Path, name: str) -> None:
    file = scratch / name
    whole = file.read_bytes()
    try:
        for position in {0, 1, 7, 8, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            for change in (0x01, 0x80, 0xFF):
                spoilt = bytearray(whole)
                spoilt[position] ^= change
                file.write_bytes(spoilt)
                refused(scratch, f"{name} is not the file that the manifest lists")
    finally:
        file.write_bytes(whole)
    open_bundle(scratch)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_lengthened_emptied_or_missing_file(copy: Path, name: str) -> None:
    file = copy / name
    whole = file.read_bytes()
    for content in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
        file.write_bytes(content)
        refused(copy, f"{name} has {len(content)} bytes, the manifest says {len(whole)}")
    file.unlink()
    refused(copy, f"{name} is missing")
    file.mkdir()
    refused(copy, f"{name} is missing")


def test_two_halves_that_changed_places(copy: Path) -> None:
    one, other = copy / "edge/exit.onnx", copy / "edge/exit-and-encode.onnx"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    refused(copy, "exit.onnx has|exit-and-encode.onnx has")


def test_two_halves_of_one_size_that_changed_places(toy_bundle: Bundle, copy: Path) -> None:
    half = copy / "cloud/full.onnx"
    other = bytearray(half.read_bytes())
    other[-300:-200] = other[-200:-100]
    half.write_bytes(other)
    refused(copy, "full.onnx is not the file that the manifest lists: its SHA-256 is")


def test_a_half_of_another_bundle(copy: Path, other_bundle: Bundle) -> None:
    shutil.copy(other_bundle.path / "manifest.json", copy / "manifest.json")
    opened = open_bundle(copy)
    assert opened.manifest.pair_id == other_bundle.manifest.pair_id, "same halves, another threshold: another pair"


def test_the_manifest_at_every_few_bytes(scratch: Path) -> None:
    file = scratch / "manifest.json"
    whole = file.read_bytes()
    try:
        for position in range(0, len(whole), 23):
            spoilt = bytearray(whole)
            spoilt[position] ^= 0x20 if position % 2 else 0x01
            file.write_bytes(spoilt)
            refused(scratch)
    finally:
        file.write_bytes(whole)
    open_bundle(scratch)


@EDITS
@given(st.data())
def test_the_manifest_cut_lengthened_or_overwritten(scratch: Path, data: st.DataObject) -> None:
    file = scratch / "manifest.json"
    whole = file.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    spoilt = whole[:start] + data.draw(st.binary(max_size=20)) + whole[end:]
    try:
        file.write_bytes(spoilt)
        if spoilt == whole:
            open_bundle(scratch)
        else:
            refused(scratch)
    finally:
        file.write_bytes(whole)


def leaves(value: Any, at: tuple = ()) -> list[tuple]:
    """The paths of all values that are not containers."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*at, key))]
    if isinstance(value, list):
        return [leaf for i, inner in enumerate(value) for leaf in leaves(inner, (*at, i))]
    return [at]


def edit(text: bytes, at: tuple, value: Any) -> bytes:
    """The manifest with one value replaced, written as tidily as before."""
    facts = json.loads(text)
    place = facts
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    return (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()


def test_every_field_of_the_manifest_edited(scratch: Path) -> None:
    file = scratch / "manifest.json"
    whole = file.read_bytes()
    every = leaves(json.loads(whole))
    assert len(every) > 100
    try:
        values = (None, 0, "other", 1.5, [], {}, "../../etc/passwd")
        for i, at in enumerate(every):
            for value in (values[i % len(values)], "other"):
                spoilt = edit(whole, at, value)
                if spoilt == whole:
                    continue
                file.write_bytes(spoilt)
                refused(scratch)
    finally:
        file.write_bytes(whole)
    open_bundle(scratch)


def resealed(path: Path, change: Callable[[dict], None]) -> None:
    """Edit the manifest and, as a forger would, make its digest right again."""
    facts = json.loads((path / "manifest.json").read_bytes())
    del facts["digest"]
    change(facts)
    digest = hashlib.sha256((json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()).hexdigest()
    (path / "manifest.json").write_text(json.dumps({**facts, "digest": digest}, sort_keys=True, indent=1) + "\n")


def test_a_new_digest_does_not_hide_an_edit(copy: Path) -> None:
    resealed(copy, lambda facts: facts["deployments"]["dynamic"]["gate"].update(threshold=0.1))
    refused(copy, "was edited")


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../outside.onnx", "edge/../../outside.onnx", "edge/sub/x.onnx", "edge/..", "edge/", "other/x",
     "edge\\..\\x", "edge/x\n", "edge/x\0", "C:/x", "edge/.hidden", "edge/" + "x" * 200,
     "codec/../edge/x.onnx", "codec/"],
)  # fmt: skip
def test_no_path_leaves_the_bundle(copy: Path, name: str) -> None:
    (copy.parent / "outside.onnx").write_bytes((copy / "edge/exit.onnx").read_bytes())

    def change(facts: dict) -> None:
        facts["files"][name] = facts["files"].pop("edge/exit.onnx")
        facts["halves"]["exit"]["file"] = name

    resealed(copy, change)
    refused(copy, "not a valid manifest")


@pytest.mark.parametrize("target", ["file", "folder"])
def test_no_link_leaves_the_bundle(copy: Path, target: str) -> None:
    outside = copy.parent / "outside"
    shutil.copytree(copy / "edge", outside)
    if target == "file":
        (copy / "edge/exit.onnx").unlink()
        (copy / "edge/exit.onnx").symlink_to(outside / "exit.onnx")
    else:
        shutil.rmtree(copy / "edge")
        (copy / "edge").symlink_to(outside, target_is_directory=True)
    refused(copy, "leads out of the bundle")


def test_a_link_within_the_bundle_is_fine(copy: Path) -> None:
    (copy / "edge/exit.onnx").rename(copy / "edge/moved.onnx")
    (copy / "edge/exit.onnx").symlink_to("moved.onnx")
    open_bundle(copy)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not a manifest"),
        (b"{", "not a manifest"),
        (b"[]", "not a manifest"),
        (b"null", "not a manifest"),
        (b"7", "not a manifest"),
        (b'"x"', "not a manifest"),
        (b"{}", "not a manifest"),
        (b"NaN", "not a manifest"),
        (b"\xff\xfe\x00", "not a manifest"),
        (b"\x80abc", "not a manifest"),
        (b"[" * 200_000, "not a manifest"),
        (b'{"a":' * 100_000, "not a manifest"),
        (b'{"pair_id": "", "digest": ""}', "schema version None"),
        (b'{"pair_id": "", "digest": "", "schema_version": 2}', "schema version 2"),
        (b'{"pair_id": "", "digest": "", "schema_version": 1}', "not a valid manifest"),
        (b'{"pair_id": "", "digest": "", "schema_version": ' + b"9" * 5000 + b"}", "not a manifest"),
        (b" " * (MAX_MANIFEST_BYTES + 1), f"larger than {MAX_MANIFEST_BYTES} bytes"),
    ],
    ids=range(17),
)
def test_what_is_no_manifest(copy: Path, text: bytes, says: str) -> None:
    (copy / "manifest.json").write_bytes(text)
    refused(copy, says)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("at", [("calibration", "x"), ("deployments", "dynamic", "gate", "threshold")])
def test_numbers_that_are_none(copy: Path, value: str, at: tuple) -> None:
    text = edit((copy / "manifest.json").read_bytes(), at, "@").replace(b'"@"', value.encode())
    (copy / "manifest.json").write_bytes(text)
    refused(copy)


def test_a_lone_surrogate(copy: Path) -> None:
    (copy / "manifest.json").write_bytes(edit((copy / "manifest.json").read_bytes(), ("created",), "\ud800"))
    refused(copy)


def test_a_key_twice(copy: Path) -> None:
    text = (copy / "manifest.json").read_bytes()
    (copy / "manifest.json").write_bytes(text.replace(b'{\n "boundaries"', b'{\n "name": "x",\n "boundaries"', 1))
    refused(copy, "was edited")


def test_a_pipe_or_a_device_is_not_waited_for(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    os.mkfifo(copy / "manifest.json")
    refused(copy, "is not a file")
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").symlink_to("/dev/zero")
    refused(copy, "is not a file")


def test_what_is_no_bundle(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        error = refused(path, "is not a bundle: manifest.json cannot be read")
        assert "ecc-deploy export" in error.hint
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file", "is not a bundle")


def test_a_forged_manifest_still_binds_both_halves(copy: Path, toy_bundle: Bundle) -> None:
    """Whoever forges digest and pair_id makes another pair, which the other side refuses."""

    def change(facts: dict) -> None:
        facts["deployments"]["dynamic"]["gate"]["threshold"] = 0.1
        del facts["pair_id"]
        facts["pair_id"] = Manifest.model_validate_json(canonical(facts)).pair_id

    resealed(copy, change)
    assert open_bundle(copy).manifest.pair_id != toy_bundle.manifest.pair_id
