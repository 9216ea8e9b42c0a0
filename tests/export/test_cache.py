"""Compiled halves that are kept: found again only for the same work, and never where they are damaged."""

import dataclasses
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.onnxruntime import compiler
from ecc_deploy.backends.onnxruntime.options import Options
from ecc_deploy.bundle import Half, TensorInfo
from ecc_deploy.errors import UsageError
from ecc_deploy.export.cache import HalfCache, half_key
from ecc_deploy.export.exporter import export
from ecc_deploy.export.identity import Traced, plain, traced
from ecc_deploy.quantization.calibration import CalibrationRecipe
from ecc_deploy.quantization.ranges import RangeMethod

IMAGE = TensorInfo(name="image", dtype="float32", shape=(1, 4, 4), layout="NCHW")
LOGITS = TensorInfo(name="logits", dtype="float32", shape=(3,), layout="NC")
HALF = Half(
    side="edge", backend="openvino", precision="fp32", file="edge/exit.xml", inputs=(IMAGE,), outputs=(LOGITS,), macs=48
)
FILES = {"edge/exit.xml": b"<net/>", "edge/exit.bin": bytes(range(256)) * 40}


class Classifier(nn.Module):
    """``forward`` can change while weights and structure do not."""

    def __init__(self, act: Callable[[torch.Tensor], torch.Tensor] = torch.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.unused, self.act = nn.Linear(16, 3), nn.Linear(100, 100), act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(self.act(x.flatten(1)))
        return logits


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3] if x.sum() > 0 else x.flatten(1)[:, 3:6]


def source(module: nn.Module | None = None, **changes: Any) -> HalfSource:
    facts = HalfSource("exit", "edge", module or Classifier(), (IMAGE,), (LOGITS,), None, 48)
    return dataclasses.replace(facts, **changes)


JOB = Job(precision="int8", calibration=[{"image": np.zeros((2, 1, 4, 4), np.float32)}])
RECIPE = CalibrationRecipe(name="minmax")
OTHER_JOBS: dict[str, Any] = {
    "precision": "fp32",
    "calibration": [{"image": np.full((2, 1, 4, 4), 1e-6, np.float32)}],
    "ranges": RangeMethod("percentile"),
    "options": Options(),
    "exclude": ("linear",),
    "threads": 2,
}
OTHER_SOURCES: dict[str, Any] = {
    "key": "full",
    "side": "cloud",
    "inputs": (IMAGE.model_copy(update={"layout": "NHWC"}),),
    "outputs": (LOGITS.model_copy(update={"shape": (4,)}),),
    "boundary": RECIPE,  # anything that is not None
    "macs": 49,
}


def key(
    half: HalfSource | None = None,
    graph: str = "graph",
    job: Job = JOB,
    recipe: CalibrationRecipe = RECIPE,
    **rest: Any,
) -> str:
    facts = {"backend": "onnxruntime", "versions": {"torch": "1"}, **rest}
    return half_key(half or source(), Traced(graph, 51), job, recipe, **facts)


def test_equal_work_has_equal_keys() -> None:
    assert key() == key(job=dataclasses.replace(JOB, calibration=[{"image": np.zeros((2, 1, 4, 4), np.float32)}]))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Job)])
def test_every_field_of_the_job_counts(field: str) -> None:
    assert key(job=dataclasses.replace(JOB, **{field: OTHER_JOBS[field]})) != key()


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(HalfSource) if f.name != "module"])
def test_every_field_of_the_half_counts(field: str) -> None:
    assert key(source(**{field: OTHER_SOURCES[field]})) != key()


@pytest.mark.parametrize("field", CalibrationRecipe.model_fields)
def test_every_field_of_the_calibration_recipe_counts(field: str) -> None:
    changed = RECIPE.model_copy(update={field: "another value"})
    assert key(recipe=changed) != key()


def test_graph_backend_versions_and_machine_count(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key(), key(graph="another"), key(backend="tensorrt"), key(versions={"torch": "2"})}
    monkeypatch.setattr("ecc_deploy.export.cache.machine", lambda: {"cpu": "another"})
    assert len({*keys, key()}) == 5


def test_what_has_no_digest_is_an_error_and_not_left_out() -> None:
    with pytest.raises(TypeError, match="no place in a digest"):
        plain({"scale": 1 + 2j})


def test_a_graph_is_its_weights_and_what_it_does() -> None:
    other = Classifier()
    with torch.no_grad():
        other.linear.bias[0] += 1e-6
    found = [traced(source(module)) for module in (Classifier(), Classifier(), other, Classifier(torch.sigmoid))]
    assert all(found)
    digests = [item.digest for item in found if item]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert [item.weights for item in found if item] == [51] * 4  # not those of `unused`


def test_of_what_cannot_be_traced_nothing_is_known() -> None:
    assert traced(source(Branching())) is None


@pytest.fixture
def kept(tmp_path: Path) -> tuple[HalfCache, Path]:
    """A cache with one half of two files, and where it was kept."""
    cache, made = HalfCache(tmp_path / "cache"), tmp_path / "made"
    (made / "edge").mkdir(parents=True)
    for name, content in FILES.items():
        (made / name).write_bytes(content)
    cache.keep("k", HALF, made, list(FILES))
    return cache, tmp_path / "cache" / "k.half"


def test_a_half_comes_back_as_it_was(kept: tuple[HalfCache, Path], tmp_path: Path) -> None:
    assert kept[0].take("k", tmp_path / "out") == HALF
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
    assert kept[0].take("another", tmp_path / "out") is None
    assert [path.name for path in kept[1].parent.iterdir()] == ["k.half"]


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    """A whole zip, with a file that is not the one that its facts name."""
    with zipfile.ZipFile(path) as old:
        facts = old.read("half.json")
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("half.json", facts)
        for name in FILES:
            new.writestr(name, b"something else")


def leading_out(path: Path) -> None:
    with zipfile.ZipFile(path) as old:
        facts = old.read("half.json").replace(b'"edge/exit.bin"', b'"../../exit.bin"')
    with zipfile.ZipFile(path, "w") as new:
        new.writestr("half.json", facts)


@pytest.mark.parametrize("damage", [flipped, cut_short, emptied, replaced, leading_out])
def test_a_damaged_half_is_not_used_and_goes(
    kept: tuple[HalfCache, Path], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    cache, path = kept
    damage(path)
    assert cache.take("k", tmp_path / "out") is None
    assert not (tmp_path / "out").exists()
    assert not path.exists()
    cache.keep("k", HALF, tmp_path / "made", list(FILES))
    assert cache.take("k", tmp_path / "out") == HALF


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "edge").mkdir(parents=True)
    (made / "edge/exit.xml").write_bytes(bytes(1000))
    HalfCache(tmp_path / "cache").keep("a", HALF, made, ["edge/exit.xml"])
    size = (tmp_path / "cache/a.half").stat().st_size
    cache = HalfCache(tmp_path / "cache", max_bytes=3 * size)
    for age, name in enumerate("abc"):
        cache.keep(name, HALF, made, ["edge/exit.xml"])
        os.utime(tmp_path / "cache" / f"{name}.half", (age, age))
    assert cache.take("a", tmp_path / "out") is not None
    cache.keep("d", HALF, made, ["edge/exit.xml"])
    assert {path.stem for path in (tmp_path / "cache").iterdir()} == {"a", "c", "d"}
    HalfCache(tmp_path / "cache", max_bytes=1).keep("e", HALF, made, ["edge/exit.xml"])
    assert [path.stem for path in (tmp_path / "cache").iterdir()] == ["e"]  # the newest stays, however large


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    (tmp_path / "made").mkdir()
    with pytest.raises(UsageError, match="cannot be kept in") as caught:
        HalfCache(tmp_path / "cache").keep("k", HALF, tmp_path / "made", [])
    assert "--no-cache" in caught.value.hint


def test_the_second_export_compiles_nothing(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = export(tiny_run, tmp_path / "first", precision="fp32")

    def refused(*_: Any) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(compiler, "compile_half", refused)
    notes: list[str] = []
    again = export(
        tiny_run, tmp_path / "again", precision="fp32", offload_rate=0.5,
        progress=lambda what, done, total, note="": notes.append(note),
    )  # fmt: skip
    assert again.manifest.halves == first.manifest.halves
    for half in first.manifest.halves.values():
        assert again.file(half.file).read_bytes() == first.file(half.file).read_bytes()
        assert isinstance(half.compiled["weights"], int)
    assert "edge half exit: from the cache" in notes
    assert notes[-1] == "5 of 5 halves from the cache"
    with pytest.raises(AssertionError, match="compiled"):
        export(tiny_run, tmp_path / "without", precision="fp32", cache=False)
    with pytest.raises(AssertionError, match="compiled"):
        export(tiny_run, tmp_path / "int8", precision="int8")
