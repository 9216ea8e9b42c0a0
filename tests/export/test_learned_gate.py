"""A run with a trained gate, exported and run over a server."""

from pathlib import Path

import numpy as np
import pytest

from ecc_deploy import data
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.export.exporter import export
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.selftest import check_edge
from ecc_deploy.serving import Server


@pytest.fixture(scope="module")
def gated_bundle(gated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("gated") / "bundle"
    return export(gated_run, out, gate="learned", offload_rate=0.3, max_drop=3)


def test_a_learned_gate_is_in_the_halves_and_decides(gated_bundle: Bundle) -> None:
    manifest = gated_bundle.manifest
    outputs = {key: {t.name for t in half.outputs} for key, half in manifest.halves.items()}
    assert outputs["exit"] == {"logits", "confidence"}
    assert outputs["exit-and-encode"] == {"logits", "boundary", "confidence"}
    assert outputs["encode"] == {"boundary"}
    facts = data.load("fashion-mnist-sample")
    images = facts.normalisation(facts.part("val").images)
    for name in ("independent", "dynamic"):
        deployment = manifest.deployments[name]
        half = manifest.halves[deployment.edge or ""]
        with open_runner(gated_bundle.file(half.file), half, threads=1) as runner:
            said = runner.run({"image": images})["confidence"][:, 0]
        assert deployment.gate is not None
        assert deployment.gate.score == "learned"
        assert (said < deployment.gate.threshold).mean() == pytest.approx(0.3, abs=0.01)
    check_edge(gated_bundle)


def test_what_runs_is_what_the_guard_measured(gated_bundle: Bundle) -> None:
    """ECC-D over a server, on all of val: int8 halves, learned gate, codec with its table, fused answers."""
    val = data.load("fashion-mnist-sample").part("val")
    deployment = gated_bundle.manifest.deployments["dynamic"]
    with (
        Server([gated_bundle]) as server,
        CloudClient(f"127.0.0.1:{server.port}", gated_bundle.manifest) as cloud,
        EdgeRuntime(gated_bundle, "dynamic", cloud=cloud, deadline_ms=20_000) as runtime,
    ):
        found = [runtime.predict(image) for image in val.images]
    right = np.mean([p.label == label for p, label in zip(found, val.labels, strict=True)])
    assert deployment.guard is not None
    assert deployment.gate is not None
    assert right == pytest.approx(deployment.guard.compiled_accuracy, abs=1e-9)
    assert np.mean([p.payload_bytes > 0 for p in found]) == pytest.approx(deployment.gate.offload_rate)
