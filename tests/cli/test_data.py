import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecc_deploy.bench.schema import load_bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.data.cifar10 import OFFICIAL
from tests.cli.conftest import Cli
from tests.toy import CLASSES


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ECC_DEPLOY_CIFAR10", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_list_says_where_and_whether(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = cli("data", "list").out
    assert "45,000 / 5,000 / 10,000 │ 184.4 MB │ no" in shown
    assert f"cifar10: {tmp_path}/cache/ecc-deploy/cifar-10-batches-bin (ecc-deploy data fetch cifar10; or" in shown
    assert "image-folder: your folder" in shown

    monkeypatch.setenv("ECC_DEPLOY_CIFAR10", str(tmp_path))
    for name, member in {**OFFICIAL.train, **OFFICIAL.test}.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(member.bytes)
    listed = {facts["name"]: facts for facts in json.loads(cli("data", "list", "--json").out)}
    assert listed["cifar10"]["folder"] == str(tmp_path)
    assert [listed[name]["is_there"] for name in ("cifar10", "fashion-mnist-sample", "image-folder")] == [
        True,
        True,
        None,
    ]
    assert listed["fashion-mnist-sample"]["images"] == {"train": 3000, "val": 1000, "test": 1000}


def test_fetch_of_what_is_there(cli: Cli, cifar10_folder: Path) -> None:
    done = cli("data", "fetch", "cifar10", "--folder", cifar10_folder.parent)
    assert (done.code, done.out, done.err) == (0, f"cifar10 is at {cifar10_folder}, verified.\n", "")
    assert json.loads(cli("data", "fetch", "cifar10", "--folder", cifar10_folder, "--json").out) == {
        "name": "cifar10",
        "folder": str(cifar10_folder),
    }


def test_fetch_tells_what_it_cannot_do(cli: Cli, tmp_path: Path) -> None:
    done = cli("data", "fetch", "image-folder")
    assert (done.code, done.out) == (2, "")
    assert "does not download the dataset image-folder" in done.err
    (tmp_path / "file").touch()
    done = cli("data", "fetch", "cifar10", "--folder", tmp_path / "file")
    assert done.code == 2
    assert "cannot be written" in done.err


def test_bench_on_images_of_ones_own(cli: Cli, toy_bundle: Bundle, tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    for name in CLASSES:
        (tmp_path / "images/test" / name).mkdir(parents=True)
        for number in range(2):
            pixels = noise.integers(0, 256, (16, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images/test" / name / f"{number}.png")
    bench = ("bench", toy_bundle.path, "--arch", "edge-only", "--warmup", 0, "--out", tmp_path / "bench.json")
    done = cli(*bench, "--dataset", "image-folder", "--data", tmp_path / "images")
    assert done.code == 0, done.err
    result = load_bench(tmp_path / "bench.json")
    assert result.settings["dataset"] == "image-folder"
    assert [arm.samples for arm in result.arms] == [2 * len(CLASSES)]

    done = cli(*bench, "--dataset", "image-folder")
    assert done.code == 2
    assert "--data FOLDER" in done.err
    done = cli(*bench, "--dataset", "own_absent:Noise")
    assert (done.code, "there is no module own_absent" in done.err) == (2, True)
    done = cli(*bench)
    assert (done.code, "there is no dataset named 'toy' here" in done.err) == (2, True)
