from pathlib import Path

import pytest

from ecc_deploy import resources
from ecc_deploy.backends.registry import BACKENDS
from ecc_deploy.backends.targets import MAX_FILE_BYTES, list_targets, load_target
from ecc_deploy.errors import TargetError

BOARD = """
name = "board"
title = "My board"
backend = "onnxruntime"
sides = ["edge"]
precisions = ["fp32", "int8"]
default_precision = "int8"
"""


def write(folder: Path, text: str, name: str = "board") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_those_that_ship_are_listed_and_load_by_name() -> None:
    targets = list_targets()
    assert {t.name for t in targets} == {path.stem for path in resources.folder("targets").iterdir()}
    for target in targets:
        assert load_target(target.name) == target
        assert target.backend in BACKENDS
        assert target.notes
        assert all(fact.source for fact in target.facts)


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, BOARD + 'notes = ["fast"]\n[[facts]]\nfact = "4 GB"\nsource = "data sheet"\n')
    target = load_target(path)
    assert (target.name, target.threads, target.notes) == ("board", 1, ("fast",))
    assert target.facts[0].source == "data sheet"
    monkeypatch.chdir(tmp_path)
    assert load_target("board.toml") == load_target("./board.toml") == load_target(str(path)) == target


def test_a_file_in_the_way_does_not_hide_a_name_that_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime-cpu").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_target("onnxruntime-cpu").title


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TargetError, match="no target named 'abacus'") as error:
        load_target("abacus")
    assert "onnxruntime-cpu" in error.value.hint


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "My board"\n', "", "title: Field required"),
        ('title = "My board"\n', "title = 7\n", "title: "),
        (
            'backend = "onnxruntime"',
            'backend = "abacus"',
            "there is no backend 'abacus'; known: aotinductor, onnxruntime",
        ),
        ('sides = ["edge"]', "sides = []", "sides: "),
        ('sides = ["edge"]', 'sides = ["fog"]', "sides.0: "),
        ('sides = ["edge"]', 'sides = ["edge", "edge"]', "sides names something twice"),
        ('["fp32", "int8"]', '["fp16", "int8"]', "the backend onnxruntime has no precision fp16"),
        ('default_precision = "int8"', 'default_precision = "fp16"', "fp16 is not among the precisions"),
        ('default_precision = "int8"', 'default_precision = "int8"\nthreads = 0', "threads: "),
        ('default_precision = "int8"', 'default_precision = "int8"\ncolour = "red"', "colour: Extra inputs"),
        (
            'default_precision = "int8"',
            'default_precision = "int8"\n[[facts]]\nfact = "x"',
            "facts.0.source: Field req",
        ),
        ('name = "board"', 'name = "bo/ard"', "name: "),
        ('name = "board"', 'name = "plank"', "name: it is 'plank', and the file is named board.toml"),
        ('name = "board"', "name = board", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in BOARD
    path = write(tmp_path, BOARD.replace(old, new))
    with pytest.raises(TargetError) as error:
        load_target(path)
    assert str(path) in error.value.message
    assert told in error.value.message


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        load_target(tmp_path / "absent.toml")
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(tmp_path)
    (tmp_path / "image.toml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(TargetError, match="not text in UTF-8"):
        load_target(tmp_path / "image.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(TargetError, match="larger than"):
        load_target(tmp_path / "large.toml")


def test_what_the_device_is_and_what_its_backend_is_told(tmp_path: Path) -> None:
    text = BOARD.replace("onnxruntime", "openvino")
    text += '[device]\ncpu = "2x"\nmemory_mb = [512]\n[options]\ndevice = "GPU.1"\nstatic_shapes = true\n'
    target = load_target(write(tmp_path, text))
    assert (target.device.cpu, target.device.memory_mb) == ("2x", (512,))
    options = target.backend_options
    assert options is not None
    assert options.model_dump() == {"device": "GPU.1", "static_shapes": True, "inference_precision": "f32"}


@pytest.mark.parametrize(
    ("backend", "more", "told"),
    [
        ("openvino", '[options]\ndevice = "TPU"\n', "options.device"),
        ("openvino", "[options]\nspeed = 3\n", "options.speed"),
        ("tflite", "[options]\nspeed = 3\n", "the backend tflite has no options, and speed is given"),
        ("onnxruntime", "[options]\nproviders = []\n", "options.providers"),
        ("tensorrt", '[options]\ntensorrt = ["ten"]\n', "options.tensorrt.0"),
        ("onnxruntime", "[device]\nmemory_mb = [-1]\n", "device.memory_mb.0"),
        ("onnxruntime", "[device]\nwheels = 4\n", "device.wheels"),
    ],
)
def test_a_wrong_device_or_option_is_named(tmp_path: Path, backend: str, more: str, told: str) -> None:
    with pytest.raises(TargetError) as error:
        load_target(write(tmp_path, BOARD.replace("onnxruntime", backend) + more))
    assert told in error.value.message
