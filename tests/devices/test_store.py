import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.store import MANIFEST
from ecc_deploy.devices.store import DeviceStore
from ecc_deploy.errors import BundleError, DeviceError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeviceStore]:
    with DeviceStore(tmp_path / "store") as opened:
        yield opened


def contents(bundle: Bundle) -> dict[str, bytes]:
    return {facts.sha256: bundle.file(name).read_bytes() for name, facts in bundle.manifest.files.items()}


def send(store: DeviceStore, bundle: Bundle) -> int:
    """Everything that is wanted; the number of files."""
    wanted = store.offer((bundle.path / MANIFEST).read_bytes())
    for sha256 in wanted:
        content = contents(bundle)[sha256]
        store.receive(sha256, len(content), iter([content[:10], content[10:]]))
    return len(wanted)


def left_over(store: DeviceStore) -> list[Path]:
    return list((store.folder / "work").iterdir())


def test_a_bundle_arrives_whole(store: DeviceStore, toy_bundle: Bundle) -> None:
    assert send(store, toy_bundle) == len(contents(toy_bundle))
    found = store.bundle()
    assert found.manifest == toy_bundle.manifest
    assert found.path.is_relative_to(store.folder)
    assert store.bundle().path == found.path
    assert not left_over(store)


def test_only_files_that_are_not_there_are_wanted(store: DeviceStore, toy_bundle: Bundle, other_bundle: Bundle) -> None:
    send(store, toy_bundle)
    store.bundle()
    assert send(store, toy_bundle) == 0
    assert send(store, other_bundle) == len(set(contents(other_bundle)) - set(contents(toy_bundle)))
    assert store.bundle().manifest.pair_id == other_bundle.manifest.pair_id


def test_a_damaged_file_is_wanted_again(store: DeviceStore, toy_bundle: Bundle) -> None:
    send(store, toy_bundle)
    made = store.bundle()
    name = next(iter(made.manifest.files))
    damaged = made.file(name)
    content = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(content))  # the same file by another name, so both are damaged
    assert store.offer((toy_bundle.path / MANIFEST).read_bytes()) == [made.manifest.files[name].sha256]
    with pytest.raises(BundleError, match="did not arrive"):
        store.bundle()
    assert send(store, toy_bundle) == 1
    assert store.bundle().file(name).read_bytes() == content


def test_a_file_is_taken_only_as_it_was_announced(store: DeviceStore, toy_bundle: Bundle) -> None:
    sha256, *_ = store.offer((toy_bundle.path / MANIFEST).read_bytes())
    content = contents(toy_bundle)[sha256]
    for digest, size, chunks in (
        (sha256, len(content), [b"x" * len(content)]),
        (sha256, len(content), [content[:-1]]),
        (sha256, len(content), [content + b"x"]),
        (sha256, len(content) + 1, [content]),
        ("0" * 64, 3, [b"abc"]),
        ("../../escape", 3, [b"abc"]),
        (hashlib.sha256(b"abc").hexdigest(), 3, [b"abc"]),
    ):
        with pytest.raises(DeviceError):
            store.receive(digest, size, iter(chunks))
    assert not left_over(store)
    assert not list((store.folder / "files").iterdir())


def test_what_is_no_manifest_is_refused(store: DeviceStore, toy_bundle: Bundle) -> None:
    document = (toy_bundle.path / MANIFEST).read_bytes()
    for wrong in (b"", b"{}", b"[" * 10_000, document.replace(b"edge/", b"../e/"), document + b" ", b"x" * (2 << 20)):
        with pytest.raises(BundleError):
            store.offer(wrong)
    with pytest.raises(DeviceError, match="no bundle was offered"):
        store.bundle()
    assert not left_over(store)


def test_one_process_at_a_time(store: DeviceStore) -> None:
    with pytest.raises(DeviceError, match="another benchmark"):
        DeviceStore(store.folder)
    store.close()
    store.close()
    DeviceStore(store.folder).close()


def test_what_a_killed_process_left_is_removed(store: DeviceStore) -> None:
    (store.folder / "work/half").mkdir()
    store.close()
    with DeviceStore(store.folder) as again:
        assert not left_over(again)


def test_bundles_beyond_the_limit_go_and_their_files_with_them(
    tmp_path: Path, toy_bundle: Bundle, other_bundle: Bundle, rich_bundle: Bundle
) -> None:
    with DeviceStore(tmp_path / "store", max_bytes=1) as store:
        for bundle in (toy_bundle, other_bundle, rich_bundle):
            send(store, bundle)
            store.bundle()
        assert len(list((store.folder / "bundles").iterdir())) == 1
        assert {path.name for path in (store.folder / "files").iterdir()} == set(contents(rich_bundle))


def test_a_disk_without_room(store: DeviceStore, toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256, *_ = store.offer((toy_bundle.path / MANIFEST).read_bytes())

    def chunks() -> Iterator[bytes]:
        raise OSError(28, "No space left on device")
        yield b""

    with pytest.raises(DeviceError, match="disk became full"):
        store.receive(sha256, len(contents(toy_bundle)[sha256]), chunks())
    assert not left_over(store)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DeviceError, match="cannot be used"):
        DeviceStore(tmp_path / "store")


def test_a_file_where_the_store_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(DeviceError, match="cannot be used"):
        DeviceStore(tmp_path / "store")


def test_a_file_system_without_links(store: DeviceStore, toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    send(store, toy_bundle)
    assert store.bundle().manifest == toy_bundle.manifest
