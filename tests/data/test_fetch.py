import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ecc_deploy.data import interface
from ecc_deploy.data.archive import Archive, Member
from ecc_deploy.data.cifar10 import Cifar10
from ecc_deploy.data.fetch import fetch_archive, fetch_dataset
from ecc_deploy.errors import DataError
from ecc_deploy.progress import silent

FILES = {"one.bin": b"first" * 100_000, "two.bin": b"second"}
FOLDER = "files-bin"


def member(content: bytes) -> Member:
    return Member(len(content), hashlib.sha256(content).hexdigest())


def entry(name: str, content: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, content


GOOD = [entry(f"{FOLDER}/{name}", content) for name, content in FILES.items()]


def packed(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Site:
    """A server on this machine: what it sends, what it claims to send, and how often it was asked."""

    port: int = 0
    body: bytes = packed(GOOD)
    claimed: int | None = None
    silence_s: float = 0.0
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def archive(self, **changes: object) -> Archive:
        content = self.body
        sha256 = hashlib.sha256(content).hexdigest()
        members = {name: member(data) for name, data in FILES.items()}
        url = f"http://127.0.0.1:{self.port}/files.tar.gz"
        return replace(Archive(url, len(content), sha256, FOLDER, members), **changes)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    facts = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            facts.asked.append(self.path)
            self.send_response(facts.status)
            self.send_header("Content-Length", str(len(facts.body) if facts.claimed is None else facts.claimed))
            self.end_headers()
            time.sleep(facts.silence_s)
            self.wfile.write(facts.body)

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        facts.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield facts
        server.shutdown()
        thread.join()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_members_arrive_and_nothing_else(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int, str]] = []
    site.body = packed([entry(FOLDER, type=tarfile.DIRTYPE), *GOOD, entry(f"{FOLDER}/readme.html", b"hello")])
    fetch_archive(site.archive(), tmp_path / "deep/files", lambda *step: seen.append(step))
    assert everything(tmp_path) == {f"deep/files/{name}": content for name, content in FILES.items()}
    assert (tmp_path / "deep/files").stat().st_mode & 0o055
    assert [step[:3] for step in seen if step[0] == "Unpack"] == [("Unpack", 1, 2), ("Unpack", 2, 2)]
    assert seen[0][0] == "Download, MB"


def test_what_is_there_is_not_downloaded_again(site: Site, tmp_path: Path) -> None:
    fetch_archive(site.archive(), tmp_path / "files", silent)
    fetch_archive(site.archive(), tmp_path / "files", silent)
    assert site.asked == ["/files.tar.gz"]


def test_what_is_damaged_is_replaced_and_other_files_stay(site: Site, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/one.bin").write_bytes(b"First" * 100_000)
    (tmp_path / "files/mine.txt").write_bytes(b"mine")
    fetch_archive(site.archive(), tmp_path / "files", silent)
    assert everything(tmp_path / "files") == {**FILES, "mine.txt": b"mine"}


def refused(site: Site, folder: Path, archive: Archive, message: str, timeout_s: float = 5.0) -> DataError:
    """The fetch fails and leaves nothing behind."""
    with pytest.raises(DataError, match=message) as caught:
        fetch_archive(archive, folder / "files", silent, timeout_s)
    assert list(folder.iterdir()) == []
    return caught.value


def test_another_digest(site: Site, tmp_path: Path) -> None:
    refused(site, tmp_path, site.archive(sha256="0" * 64), "is not the official file")


def test_more_bytes_than_announced_to_us(site: Site, tmp_path: Path) -> None:
    archive = site.archive()
    site.body += b"x"
    refused(site, tmp_path, archive, f"has more than the {archive.bytes} bytes")


@pytest.mark.parametrize("is_claimed", [True, False])
def test_a_connection_that_ends_early(site: Site, tmp_path: Path, is_claimed: bool) -> None:
    archive = site.archive()
    site.claimed = archive.bytes if is_claimed else None
    site.body = site.body[: archive.bytes // 2]
    refused(site, tmp_path, archive, f"ended after {archive.bytes // 2} of {archive.bytes} bytes|cannot be downloaded")


def test_a_server_that_falls_silent(site: Site, tmp_path: Path) -> None:
    site.silence_s = 0.5
    refused(site, tmp_path, site.archive(), "cannot be downloaded: timed out", timeout_s=0.1)


def test_no_such_page_and_no_server(site: Site, tmp_path: Path) -> None:
    site.status = 404
    refused(site, tmp_path, site.archive(), "cannot be downloaded: HTTP Error 404")
    refused(site, tmp_path, site.archive(url="http://127.0.0.1:1/x"), "cannot be downloaded: .*refused")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([GOOD[0], entry("../two.bin", b"second")], f"lacks {FOLDER}/two.bin"),
        ([GOOD[0], entry(f"{FOLDER}/../{FOLDER}/two.bin", b"second")], "lacks"),
        ([GOOD[0], entry("/tmp/two.bin", b"second")], "lacks"),
        ([GOOD[0], entry(f"{FOLDER}/two.bin", type=tarfile.SYMTYPE, linkname="/etc/passwd")], "is not a file of 6"),
        ([GOOD[0], entry(f"{FOLDER}/two.bin", type=tarfile.LNKTYPE, linkname="one.bin")], "is not a file of 6"),
        ([GOOD[0], entry(f"{FOLDER}/two.bin", type=tarfile.DIRTYPE)], "is not a file of 6"),
        ([GOOD[0], entry(f"{FOLDER}/two.bin", b"seconds")], "is not a file of 6 bytes"),
        ([GOOD[0], entry(f"{FOLDER}/two.bin", b"SECOND")], "SHA-256 of two.bin in the archive"),
    ],
)
def test_an_archive_of_other_members(
    site: Site, tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], message: str
) -> None:
    site.body = packed(entries)
    refused(site, tmp_path, site.archive(), message)


def test_names_that_lead_outside_are_never_written(site: Site, tmp_path: Path) -> None:
    outside = [entry(name, b"evil") for name in ("../evil", f"{FOLDER}/../../evil", f"{tmp_path}/evil")]
    link = entry(f"{FOLDER}/link", type=tarfile.SYMTYPE, linkname=str(tmp_path))
    site.body = packed([*outside, link, entry(f"{FOLDER}/link/evil", b"evil"), *GOOD])
    fetch_archive(site.archive(), tmp_path / "deep/files", silent)
    assert everything(tmp_path) == {f"deep/files/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("body", [b"no archive", packed(GOOD)[:200], packed(GOOD)[:60] + bytes(800)])
def test_bytes_that_are_no_archive(site: Site, tmp_path: Path, body: bytes) -> None:
    site.body = body
    refused(site, tmp_path, site.archive(), "is not a gzipped tar file")


@pytest.mark.parametrize("step", ["Download, MB", "Unpack"])
def test_an_interruption_leaves_nothing(site: Site, tmp_path: Path, step: str) -> None:
    def interrupt(what: str, done: int, total: int, note: str = "") -> None:
        if what == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_archive(site.archive(), tmp_path / "files", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file/files"):
        with pytest.raises(DataError, match=r"is a file|cannot be written"):
            fetch_archive(site.archive(), place, silent)
    assert (tmp_path / "file").read_text() == "mine"
    assert site.asked == []


@pytest.fixture
def small(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Registers cifar10 with the archive of the site."""

    def register() -> None:
        small = type("Small", (Cifar10,), {"archive": site.archive()})
        monkeypatch.setitem(interface._REGISTER, "cifar10", small)

    return register


def test_a_dataset_lands_where_it_is_looked_for(
    small: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small()
    monkeypatch.delenv("ECC_DEPLOY_CIFAR10", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert fetch_dataset("cifar10") == tmp_path / "cache/ecc-deploy/cifar-10-batches-bin"
    monkeypatch.setenv("ECC_DEPLOY_CIFAR10", str(tmp_path / "given"))
    assert fetch_dataset("cifar10") == tmp_path / "given/cifar-10-batches-bin"
    named = tmp_path / "named/cifar-10-batches-bin"
    assert fetch_dataset("cifar10", named) == named
    assert everything(named) == FILES


def test_datasets_that_are_not_downloaded() -> None:
    with pytest.raises(DataError, match="does not download the dataset fashion-mnist") as caught:
        fetch_dataset("fashion-mnist")
    assert "dataset-fashion-mnist" in caught.value.hint
    with pytest.raises(DataError, match="no dataset named 'nope'"):
        fetch_dataset("nope")
