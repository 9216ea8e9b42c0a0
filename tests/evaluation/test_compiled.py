"""A real bundle: what an evaluation says of its compiled halves is what export measured of them."""

from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.evaluation.evaluate import evaluate
from ecc_deploy.export.exporter import export


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return export(tiny_run, tmp_path_factory.mktemp("compiled") / "bundle", offload_rate=0.4, max_drop=5)


def test_evaluation_and_guard_agree(bundle: Bundle) -> None:
    deployments = bundle.manifest.deployments
    found = evaluate(bundle.path, part="val", offload_rate=0.4, image_codecs=("raw",))
    for name in ("edge-only", "independent", "adaptive", "dynamic"):
        guard = deployments[name].guard
        assert guard is not None
        assert found.row(name).accuracy == pytest.approx(guard.compiled_accuracy)
    for name in ("independent", "dynamic"):
        gate, row = deployments[name].gate, found.row(name)
        assert gate is not None
        assert (row.gate, row.offload_rate) == (gate.score, pytest.approx(gate.offload_rate))
        assert row.fused == (deployments[name].fusion is not None)
        assert row.codec == deployments[name].codec
    halves = bundle.manifest.halves
    assert found.row("dynamic").edge_macs == halves[deployments["dynamic"].edge or ""].macs
    assert found.kind == "compiled"
