"""What every subject promises, and that the toy bundle answers as computed by hand."""

from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import DataError, UsageError
from ecc_deploy.evaluation.compiled_bundle import CompiledBundle
from ecc_deploy.evaluation.float_run import FloatRun
from ecc_deploy.evaluation.judge import Judge
from ecc_deploy.evaluation.measured import Measured
from ecc_deploy.evaluation.subject import Subject, open_subject
from ecc_deploy.payload import make_codec
from tests import reference
from tests.evaluation.toy_dataset import ToyDataset


@pytest.fixture
def compiled(toy_bundle: Bundle) -> CompiledBundle:
    return CompiledBundle(toy_bundle, ToyDataset(), threads=1)


@pytest.fixture(params=["float", "compiled"])
def subject(request: pytest.FixtureRequest, tiny_run: Path) -> Subject:
    return FloatRun(tiny_run) if request.param == "float" else request.getfixturevalue("compiled")


def test_conformance(subject: Subject) -> None:
    images = subject.dataset.part("test").images[:70]  # more than one batch of a compiled half
    side, classes = subject.edge_side(images), len(subject.dataset.classes)
    assert subject.parts >= {"edge", "cloud", "adapter"}
    assert side.gate_edge is not None
    assert side.codes is not None
    assert side.gate_codes is not None
    np.testing.assert_array_equal(side.codes, side.gate_codes)
    codec = subject.boundary_codec(side.codes)
    assert codec.tensor.shape == side.codes.shape[1:]
    np.testing.assert_array_equal(codec.decode(codec.encode(side.codes[0])), side.codes[0])
    assert subject.image_codec(images).is_lossless
    for logits in (side.edge, side.gate_edge, subject.cloud_logits(images), subject.tail_logits(side.codes)):
        assert logits.shape == (70, classes)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
    # One sample alone gets the answer that it gets among others.
    np.testing.assert_allclose(subject.edge_side(images[69:]).edge[0], side.edge[69], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(subject.tail_logits(side.codes[:1])[0], subject.tail_logits(side.codes)[0], atol=1e-3)
    macs = subject.macs
    assert 0 < macs.encode < macs.exit_and_encode
    assert macs.exit <= macs.exit_and_encode
    assert 0 < macs.tail < macs.full


def test_a_score_that_a_subject_has_not(subject: Subject) -> None:
    with pytest.raises(UsageError, match="no trained gate"):
        Judge(subject, "val", gate="learned", offload_rate=0.3, fused=True)


def test_the_toy_bundle_answers_as_by_hand(compiled: CompiledBundle) -> None:
    images = ToyDataset().part("test").images
    side = compiled.edge_side(images)
    np.testing.assert_allclose(side.edge, reference.edge_logits(images), atol=1e-4)
    np.testing.assert_array_equal(side.codes, reference.codes(images))
    np.testing.assert_allclose(compiled.cloud_logits(images), reference.cloud_logits(images), atol=1e-4)
    np.testing.assert_allclose(compiled.tail_logits(side.codes), reference.tail_logits(images), atol=1e-4)
    assert compiled.boundary_codec(side.codes).spec == "int4"
    assert compiled.image_codec(images).spec == "png"


def test_each_thing_is_computed_once(compiled: CompiledBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("edge_side", "cloud_logits", "tail_logits"):
        real = getattr(compiled, name)
        monkeypatch.setattr(compiled, name, lambda x, real=real, name=name: calls.append(name) or real(x))
    test = Measured(compiled, "test")
    tensor, boundary = compiled.image_codec(test.samples.images).tensor, compiled.boundary_codec(np.zeros(0))
    for _ in range(2):
        for spec in ("png", "raw", "webp:20"):
            test.cloud(make_codec(spec, tensor))
            assert test.image_sizes(make_codec(spec, tensor)).shape == (200,)
        test.adapted("adaptive", boundary)
        test.adapted("dynamic", boundary)
    # Untouched images once, whatever carries them; the same codes once, whoever encoded them.
    assert sorted(calls) == ["cloud_logits", "cloud_logits", "edge_side", "tail_logits"]


def test_a_dataset_of_another_shape_is_refused(toy_bundle: Bundle, tiny_run: Path) -> None:
    with pytest.raises(DataError, match="fashion-mnist-sample has"):
        open_subject(toy_bundle.path, dataset="fashion-mnist-sample")
    with pytest.raises(DataError, match=r"cifar10 has the classes .* and fashion-mnist-sample, of the run, has"):
        open_subject(tiny_run, dataset="cifar10")


def test_a_run_on_another_dataset_of_its_kind(tiny_run: Path, tmp_path: Path) -> None:
    assert open_subject(tiny_run, dataset="fashion-mnist").dataset.name == "fashion-mnist"
    elsewhere = open_subject(tiny_run, dataset="fashion-mnist", data_folder=tmp_path)
    with pytest.raises(DataError, match=f"not at {tmp_path}"):
        elsewhere.dataset.part("test")
