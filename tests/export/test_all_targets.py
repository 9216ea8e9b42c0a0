"""One run for every target, with made-up targets: what is exported, kept, missing and refused."""

import json
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ecc_deploy.backends.registry import BACKENDS, Backend
from ecc_deploy.backends.targets import Target
from ecc_deploy.bundle import open_bundle
from ecc_deploy.errors import BackendMissingError, CompileError, RunError, TargetError, UsageError
from ecc_deploy.export import all_targets, exporter
from ecc_deploy.export.all_targets import TargetExport, export_all
from ecc_deploy.export.index import FILE, Index
from ecc_deploy.runtime.selftest import check_edge


def target(name: str, backend: str = "onnxruntime", **facts: Any) -> Target:
    defaults = {"sides": ["edge"], "precisions": ["fp32"], "default_precision": "fp32"}
    return Target.model_validate({"name": name, "title": name, "backend": backend, **defaults, **facts})


def failing(error: Exception) -> Any:
    def compile_half(*_: Any) -> None:
        raise error

    return compile_half


FAULTS: dict[str, Exception] = {
    "picky": CompileError("no operator for Gelu", "Write it with others."),
    "broken": ZeroDivisionError("inside the toolchain"),
    "far": BackendMissingError("compiling for it needs its GPU", "Compile on the server."),
}


@pytest.fixture(scope="module")
def targets() -> Iterator[None]:
    """Two boards that are compiled for alike, a GPU server, and four that cannot be compiled for."""
    patch = pytest.MonkeyPatch()
    facts: dict[str, Any] = {"title": "Made up", "runs_with": (), "run_extra": "x", "compile_extra": "x"}
    for name, error in FAULTS.items():
        backend = Backend(name, package=name, compiles_with=(), precisions=("fp32",), **facts)
        patch.setitem(BACKENDS, name, backend)
        for module in (name, f"{name}.compiler"):
            made = ModuleType(module)
            made.__spec__ = ModuleSpec(module, None)
            made.__dict__.update(compile_half=failing(error), versions=dict)
            patch.setitem(sys.modules, module, made)
    absent = Backend("absent", package="absent", compiles_with=("no_such_module",), precisions=("fp32",), **facts)
    patch.setitem(BACKENDS, "absent", absent)
    both = {"precisions": ["fp32", "int8"], "threads": 4}
    listed = [
        target("board-a", **both),
        target("board-b", **both),
        target("gpu", sides=["cloud"], options={"providers": ["CUDAExecutionProvider"]}),
        *(target(name, name) for name in ("absent", *FAULTS)),
    ]
    patch.setattr(all_targets, "list_targets", lambda: listed)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def folder(targets: None, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of bundles for all of them, and which exports were finished by choosing a codec."""
    out, chosen = tmp_path_factory.mktemp("all") / "bundles", []
    choose = exporter.choose_codec
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "choose_codec", lambda *given: chosen.append("once") or choose(*given))
        found = export_all(tiny_run, out, max_drop=100)
    assert {item.name: item.status for item in found} == {
        "board-a-fp32": "exported",
        "board-b-fp32": "exported",
        "gpu-fp32": "exported",
        "absent-fp32": "no toolchain",
        "picky-fp32": "failed",
        "broken-fp32": "failed",
        "far-fp32": "needs the device",
    }
    reasons = {item.target: item.reason for item in found}
    assert "no_such_module is not installed" in reasons["absent"]
    assert reasons["picky"] == "no operator for Gelu\nWrite it with others."
    assert reasons["broken"].startswith("ZeroDivisionError: inside the toolchain\n")
    assert "needs its GPU" in reasons["far"]
    return out, chosen


def statuses(found: tuple[TargetExport, ...]) -> dict[str, str]:
    return {item.target: item.status for item in found if item.bundle is not None}


def test_what_can_be_exported_is(folder: tuple[Path, list[str]]) -> None:
    out, _ = folder
    assert {path.name for path in out.iterdir()} == {"board-a-fp32", "board-b-fp32", "gpu-fp32", FILE}
    for name, sides in (
        ("board-a", {"edge": "board-a", "cloud": "onnxruntime-cpu"}),
        ("board-b", {"edge": "board-b", "cloud": "onnxruntime-cpu"}),
        ("gpu", {"edge": "onnxruntime-cpu", "cloud": "gpu"}),
    ):
        bundle = open_bundle(out / f"{name}-fp32")
        assert bundle.manifest.targets == sides
        assert bundle.manifest.halves["full"].compiled.get("providers") == (
            ("CUDAExecutionProvider",) if name == "gpu" else None
        )
        check_edge(bundle)


def test_equal_halves_are_finished_once(folder: tuple[Path, list[str]]) -> None:
    out, chosen = folder
    assert len(chosen) == 2  # for board-a and gpu
    one, two = (open_bundle(out / f"board-{name}-fp32").manifest for name in "ab")
    assert one.files == two.files
    assert one.deployments == two.deployments
    assert one.pair_id != two.pair_id


def test_what_is_done_is_kept_and_what_is_damaged_is_made_again(folder: tuple[Path, list[str]], tiny_run: Path) -> None:
    out, _ = folder
    half = out / "board-a-fp32/edge/exit.onnx"
    content = half.read_bytes()
    half.write_bytes(content[:-1])
    before = {path: path.stat().st_mtime_ns for path in out.glob("[bg]*-fp32/**/*") if "board-a" not in str(path)}
    found = statuses(export_all(tiny_run, out, max_drop=100))
    assert found == {"board-a": "exported", "board-b": "kept", "gpu": "kept"}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert half.read_bytes() == content
    assert set(json.loads((out / FILE).read_text())["bundles"]) == {"board-a-fp32", "board-b-fp32", "gpu-fp32"}


@pytest.mark.parametrize(
    "options",
    [{"offload_rate": 0.5}, {"max_drop": 99}, {"calibration": "entropy"}, {"threads": 2}, {"restart": True}],
    ids=lambda options: next(iter(options)),
)
def test_what_is_asked_for_otherwise_is_made_again(
    folder: tuple[Path, list[str]], tiny_run: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Without compiling: nothing is kept."""

    def export_loaded(*_: Any, **__: Any) -> None:
        raise CompileError("not today")

    monkeypatch.setattr(all_targets, "export_loaded", export_loaded)
    assert statuses(export_all(tiny_run, folder[0], **{"max_drop": 100, **options})) == {}


def test_a_bundle_is_known_by_all_its_facts_and_its_pair(folder: tuple[Path, list[str]]) -> None:
    facts: dict[str, Any] = {"system": "a", "data": ["b", "c"]}
    out = folder[0]
    bundle = open_bundle(out / "board-a-fp32")
    index = Index(out)
    index.record("board-a-fp32", facts, bundle)
    assert Index(out).same("board-a-fp32", facts) == bundle
    assert Index(out).same("board-a-fp32", {**facts, "system": "b"}) is None
    assert Index(out).same("board-b-fp32", facts) is None
    index.record("board-a-fp32", facts, open_bundle(out / "board-b-fp32"))
    assert Index(out).same("board-a-fp32", facts) is None  # another pair lies there
    (out / FILE).write_text("{")
    assert Index(out).same("board-a-fp32", facts) is None


def test_precisions_are_those_of_the_target_and_the_other_half_follows(
    targets: None, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without compiling: what would be asked for."""
    asked: dict[str, dict[str, str]] = {}

    def export_loaded(run: object, out: Path, targets: object, precisions: dict[str, str], *_: Any, **__: Any) -> None:
        asked[out.name] = precisions
        raise CompileError("not today")

    monkeypatch.setattr(all_targets, "export_loaded", export_loaded)
    found = export_all(tiny_run, tmp_path / "out", precisions=["int8", "fp32", "int8"])
    assert asked["board-a-int8"] == {"edge": "int8", "cloud": "int8"}
    assert asked["gpu-fp32"] == {"edge": "fp32", "cloud": "fp32"}
    refused = {item.name: item.reason for item in found if item.status == "no such precision"}
    assert refused["gpu-int8"] == "it has: fp32"
    assert len(found) == len({item.name for item in found}) == 14


def test_what_would_be_wrong_with_every_target_is_said_at_once(targets: None, tiny_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for options, error, message in (
        ({"precisions": ["fp8"]}, UsageError, "no target has the precision fp8"),
        ({"precisions": ["int8"], "gate": "learned"}, UsageError, "no trained gate"),
        ({"offload_rate": 0.1, "min_accuracy": 0.9}, UsageError, "not both"),
        ({"cloud_target": "raspberry-pi-4"}, TargetError, "cannot be the cloud"),
        ({"cloud_target": "toaster"}, TargetError, "no target named"),
    ):
        with pytest.raises(error, match=message):
            export_all(tiny_run, out, **options)
    with pytest.raises(RunError, match="not a run directory"):
        export_all(tmp_path, out)
    assert not out.exists()
    out.mkdir()
    (out / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="is a bundle"):
        export_all(tiny_run, out)


def test_those_that_ship_are_all_planned() -> None:
    """Each is one half of one bundle per precision, under a name of its own."""
    cloud = all_targets.load_target("onnxruntime-cpu")
    plans = list(all_targets._plans(cloud, []))
    names = [plan.name for plan in plans]
    assert len(set(names)) == len(names) == len(all_targets.list_targets())
    for plan in plans:
        assert plan.targets[plan.side] == plan.target
        for side, chosen in plan.targets.items():
            assert side in chosen.sides
            assert plan.precisions[side] in chosen.precisions
