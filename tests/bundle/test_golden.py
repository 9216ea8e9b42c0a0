from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ecc_deploy.bundle import Bundle, Manifest, hash_file, write_bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.errors import BundleError
from ecc_deploy.payload import TensorSpec, make_codec
from tests.bundle.test_store import refill


def with_golden(bundle: Bundle, out: Path, change) -> Bundle:
    """A consistent bundle whose golden file holds other tensors (or, for bytes, is them)."""

    def fill(folder: Path) -> Manifest:
        manifest = refill(bundle, folder)
        file = folder / manifest.golden
        changed = change(load_file(file))
        if isinstance(changed, bytes):
            file.write_bytes(changed)
        else:
            save_file(changed, file)
        return manifest.model_copy(update={"files": {**manifest.files, manifest.golden: hash_file(file)}})

    return write_bundle(out, fill)


def test_it_holds_what_the_bundle_must_give(toy_bundle: Bundle) -> None:
    golden = load_golden(toy_bundle)
    assert len(golden) == 4
    assert golden.images.shape == (4, 8, 8, 1)
    assert golden.labels.tolist() == [0, 1, 2, 3]
    assert golden.output("exit", "logits").shape == (4, 4)
    codes = golden.output("encode", "boundary")
    codec = make_codec("int4", TensorSpec("uint8", (1, 4, 4)))
    assert np.array_equal(codec.decode(golden.payload("adaptive", 2)), codes[2])


def test_what_is_missing_is_named(toy_bundle: Bundle) -> None:
    golden = load_golden(toy_bundle)
    with pytest.raises(BundleError, match=r"holds no half.none.logits"):
        golden.output("none", "logits")
    with pytest.raises(BundleError, match=r"holds no payload.adaptive.9"):
        golden.payload("adaptive", 9)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {k: v for k, v in t.items() if k != "images"},
        lambda t: {k: v for k, v in t.items() if k != "labels"},
        lambda t: {**t, "images": t["images"].astype(np.int16)},
        lambda t: {**t, "images": t["images"][:, :7].copy()},
        lambda t: {**t, "images": t["images"][0]},
        lambda t: {**t, "labels": t["labels"][:2].copy()},
        lambda t: {**t, "images": t["images"][:0], "labels": t["labels"][:0]},
    ],
    ids=["no images", "no labels", "int16", "another size", "one image", "fewer labels", "none at all"],
)
def test_images_that_do_not_fit(toy_bundle: Bundle, tmp_path: Path, change) -> None:
    with pytest.raises(BundleError, match="no golden images of 8x8x1 with labels"):
        load_golden(with_golden(toy_bundle, tmp_path / "b", change))


def test_fewer_outputs_than_images(toy_bundle: Bundle, tmp_path: Path) -> None:
    name = "half.exit.logits"
    golden = load_golden(with_golden(toy_bundle, tmp_path / "b", lambda t: {**t, name: t[name][:3].copy()}))
    with pytest.raises(BundleError, match="has 3 samples, the images 4"):
        golden.output("exit", "logits")


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8 + b"{}", (2).to_bytes(8, "little") + b"[]"])
def test_what_is_no_safetensors_file(toy_bundle: Bundle, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BundleError, match="cannot be read as safetensors"):
        load_golden(with_golden(toy_bundle, tmp_path / "b", lambda t: content))
