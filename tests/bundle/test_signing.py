"""Signed bundles: only what a trusted key signed is opened, and nothing of another is read but its manifest's bytes."""

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.bundle.signing import MAX_FILE_BYTES, SIGNATURE, VERIFY_KEY, new_key, sign_bundle
from ecc_deploy.errors import BundleError, EccError, UsageError


@pytest.fixture
def copy(toy_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_bundle.path, tmp_path / "bundle"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "key")
    return tmp_path / "key"


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def refused(folder: Path, trusted: Path, says: str, kind: type[EccError] = BundleError) -> None:
    with pytest.raises(kind, match=says) as error:
        open_bundle(folder, trusted)
    assert error.value.hint


def test_signed_by_who_is_trusted(copy: Path, key: Path, toy_bundle: Bundle) -> None:
    signed_by = sign_bundle(copy, key)
    assert open_bundle(copy, public(key)).manifest == toy_bundle.manifest
    assert open_bundle(copy).manifest.pair_id == toy_bundle.manifest.pair_id, "the pair is the same, signed or not"
    facts = json.loads((copy / SIGNATURE).read_text())
    assert facts["key"] == signed_by
    assert len(signed_by) == 64


def test_a_key_is_for_its_owner_and_never_replaced(tmp_path: Path) -> None:
    new_key(tmp_path / "new/key")
    assert stat.S_IMODE((tmp_path / "new/key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new/key.pub").stat().st_mode) == 0o644
    before = (tmp_path / "new/key").read_bytes()
    with pytest.raises(UsageError, match="never replaced"):
        new_key(tmp_path / "new/key")
    assert (tmp_path / "new/key").read_bytes() == before
    (tmp_path / "other").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="never replaced"):
        new_key(tmp_path / "other")
    assert not (tmp_path / "nowhere").exists()


def test_a_key_with_a_password(copy: Path, tmp_path: Path) -> None:
    new_key(tmp_path / "key", b"right")
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    with pytest.raises(UsageError, match="is encrypted"):
        sign_bundle(copy, tmp_path / "key")
    with pytest.raises(UsageError, match="its password is another"):
        sign_bundle(copy, tmp_path / "key", b"wrong")
    assert not (copy / SIGNATURE).exists()
    sign_bundle(copy, tmp_path / "key", b"right")
    open_bundle(copy, tmp_path / "key.pub")


def test_a_password_that_is_not_needed_does_no_harm(copy: Path, key: Path) -> None:
    sign_bundle(copy, key, b"needless")
    open_bundle(copy, public(key))


def test_unsigned(copy: Path, key: Path) -> None:
    refused(copy, public(key), "is not signed")


def test_signed_by_another(copy: Path, key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    signed_by = new_key(other)
    sign_bundle(copy, other)
    refused(copy, public(key), f"signed by the key {signed_by[:16]}…, which is not trusted here")


def test_a_folder_of_trusted_keys(copy: Path, key: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    refused(copy, trusted, "holds no public key", UsageError)
    new_key(tmp_path / "other")
    shutil.copy(tmp_path / "other.pub", trusted)
    sign_bundle(copy, key)
    refused(copy, trusted, "is not trusted here")
    shutil.copy(public(key), trusted)
    open_bundle(copy, trusted)
    (trusted / "broken.pub").write_text("ssh-ed25519 AAAA")
    refused(copy, trusted, "broken.pub is not an Ed25519 public key", UsageError)


@pytest.mark.parametrize("position", [0, 100, -2])
def test_a_manifest_that_changed_after_it_was_signed(copy: Path, key: Path, position: int) -> None:
    sign_bundle(copy, key)
    content = bytearray((copy / "manifest.json").read_bytes())
    content[position] ^= 1
    (copy / "manifest.json").write_bytes(content)
    refused(copy, public(key), "was changed after it was signed")


def test_another_bundles_signature(copy: Path, key: Path, other_bundle: Bundle, tmp_path: Path) -> None:
    other = Path(shutil.copytree(other_bundle.path, tmp_path / "other-bundle"))
    sign_bundle(other, key)
    shutil.copy(other / SIGNATURE, copy / SIGNATURE)
    refused(copy, public(key), "was changed after it was signed")


def test_a_file_that_changed_after_it_was_signed(copy: Path, key: Path) -> None:
    sign_bundle(copy, key)
    content = bytearray((copy / "edge/exit.onnx").read_bytes())
    content[10] ^= 1
    (copy / "edge/exit.onnx").write_bytes(content)
    refused(copy, public(key), "is not the file that the manifest lists")


def test_somebody_elses_name_on_it(copy: Path, key: Path, tmp_path: Path) -> None:
    """A signature of one's own under the name of a trusted key."""
    trusted = sign_bundle(copy, key)
    new_key(tmp_path / "mine")
    sign_bundle(copy, tmp_path / "mine")
    facts = json.loads((copy / SIGNATURE).read_text())
    (copy / SIGNATURE).write_text(json.dumps({**facts, "key": trusted}))
    refused(copy, public(key), "was changed after it was signed")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"[" * 5000, b'{"algorithm": "none", "key": "", "signature": ""}', b"\xff\xfe", b"0"],
)
def test_what_is_no_signature(copy: Path, key: Path, content: bytes) -> None:
    (copy / SIGNATURE).write_bytes(content)
    refused(copy, public(key), "manifest.sig is not a signature")


def test_a_signature_that_never_ends(copy: Path, key: Path) -> None:
    (copy / SIGNATURE).write_bytes(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(EccError, match="is larger than"):
        open_bundle(copy, public(key))
    (copy / SIGNATURE).unlink()
    os.mkfifo(copy / SIGNATURE)
    with pytest.raises(EccError, match="is not a file"):
        open_bundle(copy, public(key))


def test_nothing_is_parsed_before_the_signature_is_right(
    copy: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_bundle(copy, key)
    (copy / "manifest.json").write_bytes(b"not even JSON")
    refused(copy, public(key), "was changed after it was signed")


def test_signing_wants_a_whole_bundle(copy: Path, key: Path) -> None:
    (copy / "edge/exit.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match="the manifest says"):
        sign_bundle(copy, key)
    assert not (copy / SIGNATURE).exists()


def test_keys_that_are_none(copy: Path, key: Path, tmp_path: Path) -> None:
    encoding = serialization.Encoding.PEM
    other = ec.generate_private_key(ec.SECP256R1())
    plain = (encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "ec").write_bytes(other.private_bytes(*plain))
    for file, says in (
        (tmp_path / "ec", "is not an Ed25519 key"),
        (public(key), "is not a private key"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "is not a file"),
    ):
        with pytest.raises(UsageError, match=says):
            sign_bundle(copy, file)
    sign_bundle(copy, key)
    refused(copy, key, "is not an Ed25519 public key", UsageError)


def test_the_environment_asks_for_signatures(copy: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VERIFY_KEY, str(public(key)))
    with pytest.raises(BundleError, match="is not signed"):
        open_bundle(copy)
    sign_bundle(copy, key)
    open_bundle(copy)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to read the keys with")
def test_openssl_reads_the_keys(key: Path) -> None:
    shown = subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    assert shown == public(key).read_text()
    read = serialization.load_pem_public_key(shown.encode())
    assert isinstance(read, ed25519.Ed25519PublicKey)
