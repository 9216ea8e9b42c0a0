"""Files that someone damaged, or made to do harm: an image comes out, or a UsageError that names the file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.images import read_images
from ecc_deploy.runtime.predict import predict
from tests.toy import samples

IMAGE = samples(1, seed=31).images[0]


def read(file: Path, bundle: Bundle) -> list[np.ndarray]:
    return [image for _, image in read_images(file, bundle.manifest.input, resize=True)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': bomb()}",
        b"PK\x03\x04" + bytes(40),
        b"\x80\x04N.",
    ],
    ids=["empty", "no header", "a header of code", "an archive", "a pickle"],
)
def test_what_is_no_array_file(toy_bundle: Bundle, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.npy is not an array file"):
        read(tmp_path / "x.npy", toy_bundle)


def test_objects_are_not_unpickled(toy_bundle: Bundle, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"x\.npy is not an array file"):
        read(tmp_path / "x.npy", toy_bundle)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["png", "bmp", "tiff", "pgm", "jpg", "webp", "npy"]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4),
    st.integers(0, 60),
)
def test_a_damaged_file_is_an_image_or_an_error(
    toy_bundle: Bundle, tmp_path: Path, suffix: str, changes: list[tuple[int, int]], cut: int
) -> None:
    file = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(file, IMAGE)
    else:
        Image.fromarray(IMAGE[..., 0]).save(file)
    content = bytearray(file.read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    file.write_bytes(content[: len(content) - cut] if cut < len(content) else content)
    found, refusal = [], None
    try:
        found = read(file, toy_bundle)
    except UsageError as error:
        refusal = error
    assert refusal is None or file.name in refusal.message
    assert all(image.shape == (8, 8, 1) for image in found)


def test_one_source_need_not_be_a_list_and_one_wrong_source_stops_all(toy_bundle: Bundle, tmp_path: Path) -> None:
    Image.fromarray(IMAGE[..., 0]).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), IMAGE):
        assert len(predict(toy_bundle, source, deployment="edge-only")) == 1
    steps: list[int] = []
    with pytest.raises(UsageError, match=r"none\.png cannot be read: No such file"):
        predict(
            toy_bundle,
            [IMAGE, tmp_path / "none.png"],
            deployment="edge-only",
            progress=lambda what, done, total, note: steps.append(done),
        )
    assert steps == []
