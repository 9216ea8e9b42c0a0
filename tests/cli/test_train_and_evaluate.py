import json
import re
import shutil
from pathlib import Path

import tomli_w
import tomllib

from ecc_deploy.bundle import Bundle
from tests import tiny
from tests.cli.conftest import Cli


def test_train_writes_a_run_and_says_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    one_epoch = {**tiny.FACTS["phases"][0], "epochs": 1, "batch": 500}
    recipe.write_text(tomli_w.dumps({**tiny.FACTS, "phases": [one_epoch]}))
    done = cli("train", recipe, "--out", run, "--threads", 1)
    assert done.code == 0
    assert f"{run}: tiny, with trained edge" in done.out
    assert f"ecc-deploy evaluate {run}" in done.out
    assert (run / "system.safetensors").is_file()


def test_a_seed_goes_before_that_of_the_recipe(cli: Cli, tmp_path: Path) -> None:
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    one_epoch = {**tiny.FACTS["phases"][0], "epochs": 1, "batch": 500}
    recipe.write_text(tomli_w.dumps({**tiny.FACTS, "phases": [one_epoch]}))
    assert cli("train", recipe, "--out", run, "--threads", 1, "--seed", 7).code == 0
    assert tomllib.loads((run / "system.toml").read_text())["seed"] == 7
    done = cli("train", recipe, "--sweep", "--seed", 7, "--out", tmp_path / "sweep")
    assert (done.code, "takes its seeds from the recipe" in done.err) == (2, True)


def test_an_unknown_recipe_names_those_that_ship(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "abacus", "--out", tmp_path / "run")
    assert done.code == 2
    assert "fashion-mnist-quickstart" in done.err
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_place_that_is_taken_before_it_trains(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    done = cli("train", "fashion-mnist-quickstart", "--out", tmp_path / "run")
    assert done.code == 2
    assert "is a file" in done.err
    assert (tmp_path / "run").read_text() == "mine"


FEW = ("--image-codecs", "raw,png")


def test_evaluate_prints_a_table_and_what_it_says(cli: Cli, tiny_run: Path) -> None:
    done = cli("evaluate", tiny_run, *FEW)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "tiny, the float system, split stage1-stage3: fashion-mnist-sample test, 1,000 samples"
    names = ("edge-only", "cloud-only/png", "independent", "independent/raw", "adaptive, fused", "dynamic, at random")
    for name in names:
        assert any(line.split("  ")[0].strip() == name for line in lines)
    assert any(line[:2] in ("+ ", "− ") and "ECC-D" in line for line in lines)
    assert "…" not in done.out


def test_evaluate_json_is_all_of_stdout(cli: Cli, tiny_run: Path, tmp_path: Path) -> None:
    plots = tmp_path / "curves.html"
    arguments = ("--gate", "margin", "--offload-rate", 0.5, "--part", "val", "--fusion", "off", "--plots", plots)
    done = cli("evaluate", tiny_run, "--json", *FEW, *arguments)
    facts = json.loads(done.out)
    assert (facts["gate"], facts["part"], facts["fusion"], facts["samples"]) == ("margin", "val", "off", 1000)
    assert {curve["name"] for curve in facts["curves"]} == {
        "independent",
        "independent/raw",
        "independent/png",
        "dynamic",
    }
    assert "dynamic, not fused" not in {row["name"] for row in facts["rows"]}
    assert f"Curves: {plots}" in done.err
    assert 'data-figure="bytes"' in plots.read_text()


def test_several_seeds_give_means(cli: Cli, tiny_run: Path, tmp_path: Path) -> None:
    again = shutil.copytree(tiny_run, tmp_path / "again")
    done = cli("evaluate", tiny_run, again, *FEW)
    assert "mean ± standard deviation of 2 seeds" in done.out
    assert re.search(r"edge-only +\d+\.\d\d ± 0\.00 ", done.out)


def test_mistakes_are_told_before_anything_is_computed(cli: Cli, tiny_run: Path, tmp_path: Path) -> None:
    for arguments, text in (
        ([tmp_path], "is not a run directory"),
        ([tiny_run, "--plots", tmp_path], "is a folder"),
        ([tiny_run, tiny_run], "named twice"),
        ([tiny_run, "--gate", "learned"], "no trained gate"),
        ([tiny_run, "--image-codecs", "gif"], "no codec named 'gif'"),
        ([tiny_run, "--dataset", "cifar10"], "has the classes"),
    ):
        done = cli("evaluate", *arguments)
        assert (done.code, done.out) == (2, "")
        assert text in done.err


def test_a_bundle_needs_to_be_told_of_a_dataset_that_it_only_names(cli: Cli, toy_bundle: Bundle) -> None:
    assert "no dataset named 'toy'" in cli("evaluate", toy_bundle.path).err
    done = cli(
        "evaluate", toy_bundle.path, "--dataset", "tests.evaluation.toy_dataset:ToyDataset", "--image-codecs", "raw"
    )
    assert done.code == 0, done.err
    assert "toy, the compiled halves, split toy: toy test, 200 samples" in done.out
