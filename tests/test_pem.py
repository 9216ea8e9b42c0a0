"""Files with tokens, and files that are too large, absent or locked with a passphrase."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ecc_deploy.errors import UsageError
from ecc_deploy.pem import MAX_BYTES, read_authorities, read_pair, read_token, read_tokens
from tests.certificates import Authority

GOOD = "kitchen-token-0123456789"


def written(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    path.chmod(0o640)
    return path


def test_tokens_by_name(tmp_path: Path) -> None:
    text = f"# comment\n\nkitchen {GOOD} # of Ann\n  bob@home\t{GOOD}2\n"
    assert read_tokens(written(tmp_path, text)) == {"kitchen": GOOD, "bob@home": f"{GOOD}2"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no token"),
        ("# none\n", "has no token"),
        (GOOD, "line 1 of .* is not NAME TOKEN"),
        ("kitchen short", "line 1 of .* is not NAME TOKEN"),
        (f"kitchen {GOOD * 20}", "line 1 of .* is not NAME TOKEN"),
        (f"\nkitchen {GOOD}é", "line 2 of .* is not NAME TOKEN"),
        (f"kitchen {GOOD} more", "line 1 of .* is not NAME TOKEN"),
        (f"../x {GOOD}", "line 1 of .* is not NAME TOKEN"),
        (f"a {GOOD}\na {GOOD}2", "line 2 of .* repeats"),
        (f"a {GOOD}\nb {GOOD}", "line 2 of .* repeats"),
    ],
)
def test_what_is_no_file_of_tokens(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        read_tokens(written(tmp_path, text))
    assert GOOD not in str(refused.value)
    assert refused.value.hint


def test_a_client_has_one_token(tmp_path: Path) -> None:
    assert read_token(written(tmp_path, f"{GOOD}\n")) == GOOD
    assert read_token(written(tmp_path, f"# mine\nkitchen {GOOD}\n")) == GOOD
    for text in ("", "short", f"{GOOD}\n{GOOD}", f"a b {GOOD}"):
        with pytest.raises(UsageError, match="does not have one token") as refused:
            read_token(written(tmp_path, text))
        assert GOOD not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for read in (read_token, read_tokens, read_authorities):
        with pytest.raises(UsageError, match="cannot be read: No such file"):
            read(tmp_path / "nothing")
    large = written(tmp_path, "x" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="has more than"):
        read_authorities(large)


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    pair = Authority(tmp_path).sign()
    assert read_pair(pair.cert, pair.key) == (pair.cert.read_bytes(), pair.key.read_bytes())
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(UsageError, match="has a passphrase"):
        read_pair(pair.cert, pair.key)
