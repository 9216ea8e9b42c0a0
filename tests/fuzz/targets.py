"""What is fuzzed: functions of bytes that either do what they do or raise an error that a user can understand.

Each target has seeds, which are valid, so that a mutation of one gets far. ``tests/fuzz/test_targets.py`` runs all of
them for a moment in every run of the tests, ``make fuzz`` for as long as one likes, guided by coverage.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from ecc_deploy import wire
from ecc_deploy.backends.targets import load_target
from ecc_deploy.bench.schema import load_bench
from ecc_deploy.bundle import File, hash_file, open_bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.bundle.manifest import Manifest
from ecc_deploy.bundle.signing import SIGNATURE, new_key, sign_bundle
from ecc_deploy.bundle.store import Bundle
from ecc_deploy.errors import EccError
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.ans_table import load_table
from ecc_deploy.runtime.images import read_images
from ecc_deploy.serving.bounded import check_structure
from ecc_deploy.serving.refusal import RefusalError
from ecc_deploy.training.recipe import load_recipe
from tests import reference, toy
from tests.toy import samples

IMAGE = TensorSpec("uint8", (24, 16, 3))
GREY = TensorSpec("uint8", (24, 16, 1))
CODES = TensorSpec("uint8", (2, 9, 7))
FLOATS = TensorSpec("float32", (2, 9, 7))
CODECS = {
    **dict.fromkeys(("raw", "png", "jpeg:60", "webp:60", "webp-lossless"), IMAGE),
    **dict.fromkeys(("int8+zstd", "int4+zstd", "int2+delta+zstd", "int1+zstd:9", "int8"), CODES),
    **dict.fromkeys(("float32+delta+zstd", "float16+zstd"), FLOATS),
}


@dataclass(frozen=True)
class Target:
    """``run`` raises nothing but what is caught in it; anything else is found."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _decoder(spec: str, tensor: TensorSpec, table: bytes | None = None) -> Target:
    codec = make_codec(spec, tensor, table)
    rng = np.random.default_rng(5)
    top = 2 ** int(spec[3]) if spec.startswith("int") else 256

    def run(payload: bytes) -> None:
        with suppress(EccError):
            decoded = codec.decode(payload)
            assert (decoded.dtype, decoded.shape) == (np.dtype(tensor.dtype), tensor.shape)

    arrays = [
        rng.integers(0, top, tensor.shape).astype(tensor.dtype),
        (rng.random(tensor.shape) < 0.1).astype(tensor.dtype),
        np.zeros(tensor.shape, tensor.dtype),
    ]
    return Target(run, tuple(codec.encode(array) for array in arrays))


def _file(folder: Path, name: str, read: Callable[[Path], object], *seeds: bytes) -> Target:
    """A target that reads a file, which is replaced each time."""
    file = folder / name

    def run(content: bytes) -> None:
        file.unlink(missing_ok=True)
        file.write_bytes(content)
        with suppress(EccError):
            read(file)

    return Target(run, seeds)


def _golden(folder: Path, bundle: Bundle) -> Target:
    """The golden samples, with a manifest that says that they are what it lists."""
    copy = Path(shutil.copytree(bundle.path, folder / "golden-bundle"))
    name = bundle.manifest.golden

    def read(file: Path) -> None:
        facts: dict[str, File] = {**bundle.manifest.files, name: hash_file(file)}
        golden = load_golden(Bundle(copy, bundle.manifest.model_copy(update={"files": facts})))
        for deployment in bundle.manifest.deployments:
            golden.payload(deployment, 0)
        golden.output("exit", "logits")

    return _file(copy, name, read, bundle.file(name).read_bytes())


def _request(message: bytes) -> None:
    """As the server reads it: what is too much is not parsed."""
    with suppress(RefusalError, DecodeError):
        check_structure(message)
        service_pb2.ModelInferRequest.FromString(message)


def make_targets(folder: Path) -> dict[str, Target]:
    """All targets by name; they use ``folder``."""
    plain = toy.make_bundle(folder / "bundle", rich=True)
    new_key(folder / "key")
    sign_bundle(plain.path, folder / "key")
    table = plain.file(toy.TABLE).read_bytes()
    manifest = (plain.path / "manifest.json").read_bytes()
    facts = json.loads(manifest)
    bare = json.dumps({key: value for key, value in facts.items() if key not in ("pair_id", "digest")}).encode()
    boundary = make_codec("int4+ans", TensorSpec("uint8", (1, 4, 4)), table)
    ans = _decoder("int4+ans", boundary.tensor, table)
    root = Path(__file__).parents[2]
    np.save(folder / "seed.npy", samples(1).images[0])

    def parse_manifest(text: bytes) -> None:
        with suppress(ValueError):
            Manifest.model_validate_json(text)

    def table_of(content: bytes) -> None:
        with suppress(EccError):
            load_table(content, 1, 4)

    def unpack(content: bytes) -> None:
        with suppress(ValueError):
            wire.unpack_bytes(content[1:], content[0] if content else 1)

    decoders = {spec: _decoder(spec, tensor) for spec, tensor in CODECS.items()}
    grey = {f"{spec}-grey": _decoder(spec, GREY) for spec in ("png", "jpeg:60", "webp-lossless")}
    target = next((root / "targets").glob("*.toml")).read_bytes()
    recipe = next((root / "recipes").glob("*.toml")).read_bytes()
    coded = tuple(boundary.encode(codes) for codes in reference.codes(samples(6).images))
    return {
        **{f"decode {spec}": made for spec, made in (decoders | grey).items()},
        "decode int4+ans": Target(ans.run, coded),
        "ans table": Target(table_of, (table,)),
        "bytes tensor": Target(unpack, (b"\x02" + wire.pack_bytes([b"a", b"bcd"]),)),
        "request structure": Target(_request, (b"\x2a\x00" * 40, b"\x3a\x03abc\x0a\x01m")),
        "manifest": Target(parse_manifest, (bare,)),
        "bundle": _file(plain.path, "manifest.json", lambda file: open_bundle(file.parent, ""), manifest),
        "signature": _file(
            Path(shutil.copytree(plain.path, folder / "signed")), SIGNATURE,
            lambda file: open_bundle(file.parent, folder / "key.pub"), (plain.path / SIGNATURE).read_bytes(),
        ),
        "golden samples": _golden(folder, plain),
        "public key": _file(
            folder, "other.pub", lambda file: open_bundle(folder / "signed", file), (folder / "key.pub").read_bytes()
        ),
        "array file": _file(
            folder, "x.npy", lambda file: list(read_images(file, plain.manifest.input, True)),
            (folder / "seed.npy").read_bytes(),
        ),
        "target": _file(folder, "target.toml", load_target, target),
        "recipe": _file(folder, "recipe.toml", load_recipe, recipe),
        "bench.json": _file(folder, "bench.json", load_bench, b'{"schema_version": 1}'),
    }  # fmt: skip


def main_targets() -> dict[str, Target]:
    """For a process of their own."""
    return make_targets(Path(tempfile.mkdtemp(prefix="ecc-fuzz-")))
