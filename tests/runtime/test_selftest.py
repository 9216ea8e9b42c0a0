from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import BundleError, ServerError
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.runtime import selftest
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.selftest import check_cloud, check_edge
from ecc_deploy.serving import Server
from tests.bundle.test_golden import with_golden
from tests.runtime.fakes import answer, fake_server, free_port
from tests.serving.test_server import changed


def test_a_good_bundle_passes_on_both_sides(toy_bundle: Bundle, cloud: CloudClient) -> None:
    notes = check_edge(toy_bundle)
    for what in (
        "deployment 'adaptive', codec int4: 4 payloads bit-exact",
        "edge half 'exit': logits differ by at most 0",
    ):
        assert any(what in note for note in notes), notes
    assert len(notes) == 4 + 4
    notes = check_cloud(toy_bundle, cloud)
    assert [note.partition(" (")[0] for note in notes] == [
        "cloud half 'tail' of deployment 'adaptive'",
        "cloud half 'full' of deployment 'cloud-only'",
        "cloud half 'tail' of deployment 'dynamic'",
        "cloud half 'full' of deployment 'independent'",
    ]


def test_all_that_a_bundle_may_have_is_tested(rich_bundle: Bundle) -> None:
    notes = check_edge(rich_bundle)
    for what in (
        "deployment 'adaptive-fused', codec int4+ans: 4 payloads bit-exact",
        "edge half 'exit': confidence differs by at most 0 ",
        "edge half 'exit-and-encode': confidence differs by at most 0 ",
    ):
        assert any(what in note for note in notes), notes
    with Server([rich_bundle]) as server, CloudClient(f"127.0.0.1:{server.port}", rich_bundle.manifest) as cloud:
        assert len(check_cloud(rich_bundle, cloud)) == 5


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("half.exit.confidence", lambda x: x + 0.2, "edge half 'exit': confidence differs by at most 0.2 (allowed 0."),
        ("half.exit.confidence", lambda x: x * np.nan, "edge half 'exit': confidence differs by at most nan"),
        ("payload.adaptive-fused.2", lambda p: p[:-1], "deployment 'adaptive-fused', codec int4+ans: "),
    ],
)
def test_what_disagrees_in_a_rich_bundle_is_named(rich_bundle: Bundle, tmp_path: Path, name, change, says) -> None:
    with pytest.raises(BundleError) as error:
        check_edge(spoilt(rich_bundle, tmp_path / "b", name, change))
    assert error.value.message.startswith(says)


def test_a_confidence_may_move_a_little(rich_bundle: Bundle, tmp_path: Path) -> None:
    check_edge(spoilt(rich_bundle, tmp_path / "b", "half.exit.confidence", lambda x: x + 0.04))


def spoilt(bundle: Bundle, out: Path, name: str, change) -> Bundle:
    def spoil(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors[name] = np.ascontiguousarray(change(tensors[name].copy()))
        return tensors

    return with_golden(bundle, out, spoil)


def other_codes(share: float, step: int):
    """Change ``share`` of the codes by ``step``, within 4 bits."""

    def change(codes: np.ndarray) -> np.ndarray:
        flat = codes.reshape(-1)
        count = round(share * flat.size)
        flat[:count] = np.where(flat[:count] >= step, flat[:count] - step, flat[:count] + step)
        return codes

    return change


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (
            "payload.adaptive.1",
            lambda p: p ^ 1,
            "deployment 'adaptive', codec int4: the golden payload of sample 1 decodes to another tensor: 8 of 16",
        ),
        ("payload.adaptive.1", lambda p: p[:-1], "deployment 'adaptive', codec int4: "),
        ("payload.cloud-only.0", lambda p: p[:20], "deployment 'cloud-only', codec png: "),
        ("half.exit-and-encode.boundary", other_codes(0.5, 1), "deployment 'dynamic', codec int4: the golden payload"),
        ("half.exit.logits", lambda x: x + 2, "edge half 'exit': logits differ by at most 2 "),
        ("half.exit.logits", lambda x: x[:, ::-1], "edge half 'exit': logits differ"),
        ("half.exit.logits", lambda x: x * np.nan, "edge half 'exit': logits differ by at most nan"),
        ("half.exit.logits", lambda x: x.astype(np.float64), "edge half 'exit': logits is float32"),
    ],
)
def test_what_disagrees_on_the_edge_is_named(toy_bundle: Bundle, tmp_path: Path, name, change, says: str) -> None:
    with pytest.raises(BundleError) as error:
        check_edge(spoilt(toy_bundle, tmp_path / "b", name, change))
    assert error.value.message.startswith(says)


def with_codes(bundle: Bundle, out: Path, change) -> Bundle:
    """Another golden boundary with payloads to match, as if the bundle was made on another CPU."""
    codec = make_codec("int4", TensorSpec("uint8", (1, 4, 4)))

    def spoil(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        codes = change(tensors["half.encode.boundary"].copy())
        for half, deployment in (("encode", "adaptive"), ("exit-and-encode", "dynamic")):
            tensors[f"half.{half}.boundary"] = codes
            for i, sample in enumerate(codes):
                tensors[f"payload.{deployment}.{i}"] = np.frombuffer(codec.encode(sample), np.uint8)
        return tensors

    return with_golden(bundle, out, spoil)


def test_another_cpu_may_round_one_code_in_a_hundred_otherwise(toy_bundle: Bundle, tmp_path: Path) -> None:
    notes = check_edge(with_codes(toy_bundle, tmp_path / "b", other_codes(1 / 64, 1)))
    assert "edge half 'encode': boundary codes differ by at most 1 in 1.56% of the elements (allowed 1 in 2%)" in notes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_codes(2 / 64, 1), "edge half 'encode': boundary codes differ by at most 1 in 3.12% of the elements"),
        (other_codes(1 / 64, 2), "edge half 'encode': boundary codes differ by at most 2 in 1.56% of the elements"),
    ],
)
def test_more_than_that_is_another_computation(toy_bundle: Bundle, tmp_path: Path, change, says: str) -> None:
    with pytest.raises(BundleError) as error:
        check_edge(with_codes(toy_bundle, tmp_path / "b", change))
    assert error.value.message.startswith(says)
    assert "export the bundle for it" in error.value.hint


def test_logits_may_move_a_little(toy_bundle: Bundle, tmp_path: Path) -> None:
    golden = spoilt(toy_bundle, tmp_path / "b", "half.exit.logits", lambda x: x + 0.01)
    assert any("logits differ by at most 0.01" in note for note in check_edge(golden))


@pytest.mark.parametrize(
    ("found", "is_wrong", "says"),
    [
        ([5.0, 4.9, 0.0], False, "differ by at most 0 (allowed 0.5), 0 of 2"),
        ([4.9, 5.0, 0.0], False, "differ by at most 0.1 (allowed 0.5), 0 of 2"),  # as good as a tie
        ([4.6, 5.3, 0.0], False, "differ by at most 0.4 (allowed 0.5), 0 of 2"),
        ([5.6, 4.9, 0.0], True, "differ by at most 0.6 (allowed 0.5), 0 of 2"),
        ([4.6, 4.9, 5.1], True, "1 of 2 samples change class"),
    ],
)
def test_a_tie_may_fall_either_way_and_nothing_else(found: list[float], is_wrong: bool, says: str) -> None:
    other = [0.0, 0.0, 10.0]  # sets the range, and so the tolerance
    wanted = np.array([[5.0, 4.9, 0.0], other], np.float32)
    wrong, note = selftest._compare_logits(np.array([found, other], np.float32), wanted)
    assert wrong == is_wrong
    assert says in note


def test_a_class_that_was_clearly_worse_is_a_change_though_no_logit_moved_far() -> None:
    wanted = np.array([[5.0, 4.3, 0.0], [0.0, 0.0, 10.0]], np.float32)
    found = np.array([[4.6, 4.7, 0.0], [0.0, 0.0, 10.0]], np.float32)
    is_wrong, note = selftest._compare_logits(found, wanted)
    assert is_wrong
    assert note == "logits differ by at most 0.4 (allowed 0.5), 1 of 2 samples change class"


def test_a_lossy_codec_is_compared_as_raw(toy_bundle: Bundle, tmp_path: Path) -> None:
    codec = make_codec("jpeg:50", TensorSpec("uint8", (8, 8, 1)))

    def recode(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for i, image in enumerate(tensors["images"]):
            tensors[f"payload.cloud-only.{i}"] = np.frombuffer(codec.encode(image), np.uint8)
        return tensors

    lossy = with_golden(toy_bundle, tmp_path / "a", recode)
    bundle = changed(
        lossy,
        tmp_path / "b",
        lambda facts: facts["deployments"]["cloud-only"].update(codec="jpeg:50"),
    )
    assert "deployment 'cloud-only', codec jpeg:50: 4 payloads lossy, decodes" in check_edge(bundle)
    with Server([bundle]) as server, CloudClient(f"127.0.0.1:{server.port}", bundle.manifest) as cloud:
        assert any("(jpeg:50, compared as raw): logits differ by at most 0 " in n for n in check_cloud(bundle, cloud))


def test_a_server_that_computes_something_else(toy_bundle: Bundle) -> None:
    with (
        fake_server(lambda *_: answer().SerializeToString()) as url,
        CloudClient(url, toy_bundle.manifest) as cloud,
        pytest.raises(BundleError, match=r"cloud half 'tail' of deployment 'adaptive' .* samples change class"),
    ):
        check_cloud(toy_bundle, cloud)


def test_a_server_that_does_not_answer(toy_bundle: Bundle) -> None:
    with (
        CloudClient(f"127.0.0.1:{free_port()}", toy_bundle.manifest) as cloud,
        pytest.raises(ServerError, match="does not answer the golden samples of 'adaptive'"),
    ):
        check_cloud(toy_bundle, cloud)
