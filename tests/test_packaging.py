"""The wheel: what it holds, what it asks for, and that it works from anywhere. ``make wheel-check`` goes further."""

import json
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "onnx", "openvino", "litert", "tensorrt", "jinja2", "nncf", "scipy", "transformers")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def test_what_travels_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    resources = {
        f"ecc_deploy/_resources/{path.relative_to(ROOT).as_posix()}"
        for folder in ("targets", "links", "calibration", "recipes")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".toml", ".webp", ".json") or path.name == "LICENSE"
    }
    assert {"targets", "links", "calibration", "recipes"} == {name.split("/")[2] for name in resources}
    assert resources <= held
    files = (p for p in (ROOT / "ecc_deploy").rglob("*.*") if p.is_file() and p.parent.name != "__pycache__")
    package = {path.relative_to(ROOT).as_posix() for path in files}
    assert {"ecc_deploy/py.typed", "ecc_deploy/zoo/weights/fashion-mnist/system.safetensors"} <= package <= held
    assert not [name for name in held if name.startswith("tests") or "__pycache__" in name]
    licenses = [name for name in held if ".dist-info/licenses/" in name]
    assert sorted(name.split("/licenses/")[1] for name in licenses) == ["LICENSE", "calibration/fashion_mnist/LICENSE"]


def test_the_wheel_is_small_enough_to_be_copied_to_a_device(wheel: Path) -> None:
    assert wheel.stat().st_size < 16 << 20  # of that, 11 MB are trained systems


def test_the_base_dependencies_are_light(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (name,) = [name for name in held.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = BytesParser(policy=compat32).parsebytes(held.read(name))
    required = metadata.get_all("Requires-Dist") or []
    base = [line for line in required if "extra ==" not in line]
    assert [line for line in base if line.startswith("numpy")]
    assert not [line for line in base if any(word in line.lower() for word in HEAVY)]
    assert metadata["License-Expression"] == "Apache-2.0"


def test_it_works_from_another_folder(site: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import ecc_deploy; print(ecc_deploy.__file__)")
    assert Path(where.strip()) == site / "ecc_deploy/__init__.py"
    targets = json.loads(run("-m", "ecc_deploy", "targets", "list", "--json"))
    assert {target["name"] for target in targets} == {path.stem for path in (ROOT / "targets").glob("*.toml")}
    recipe = run("-c", "import ecc_deploy as ecc; print(ecc.load_recipe('fashion-mnist-quickstart').name)")
    assert recipe == "fashion-mnist\n"
    code = "from ecc_deploy import data; print(len(data.load('fashion-mnist-sample').part('test')))"
    assert run("-c", code) == "1000\n"


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert not [version for version in pins.values() if "+" in version], "a local version is on no index"
    installed_by_make = ("train", "onnxruntime", "report", "dev")
    wanted = [
        *project["dependencies"],
        *(line for e in installed_by_make for line in project["optional-dependencies"][e]),
    ]
    names = {line.split(">")[0].split("[")[0].lower() for line in wanted}
    assert names <= set(pins)
