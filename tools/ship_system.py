"""Put a trained run among the systems that ship with the package.

Stores the weights as float16 (half the size; what that costs is measured and written down), measures accuracy on the
full test part and the embedded one, and writes the model card from what was measured.

    python tools/ship_system.py RUN ecc_deploy/zoo/weights/NAME --recipes RECIPE.toml [RECIPE.toml ...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ecc_deploy import data
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.partition.cost import macs
from ecc_deploy.training.paths import path_logits
from ecc_deploy.training.run import Run, load_run

PATHS = ("edge", "cloud", "adapted")
LIMIT_BYTES = 6_000_000


def measure(run: Run, dataset: str, part: str) -> dict[str, float]:
    """Top-1 accuracy, 0 to 1, of every path of the float system."""
    facts = data.load(dataset)
    samples = facts.part(part)
    logits = path_logits(run.system, torch.from_numpy(facts.normalisation(samples.images)), PATHS)
    return {path: accuracy(out.numpy(), samples.labels) for path, out in logits.items()}


def card(run: Run, measured: dict[str, dict[str, float]], costs: dict[str, int], recipes: list[Path]) -> str:
    """The model card, in Markdown."""
    adapter = run.recipe.adapter
    lines = [
        f"# {run.recipe.name}",
        "",
        f"Edge: `{run.recipe.edge.model}` {run.recipe.edge.arguments}, {costs['edge'] / 1e6:.2f} M MACs. "
        f"Cloud: `{run.recipe.cloud.model}` {run.recipe.cloud.arguments}, {costs['cloud'] / 1e6:.2f} M MACs "
        f"({costs['cloud'] / costs['edge']:.0f} times the edge's). "
        f"Adapter from the edge's {run.recipe.split.edge_after} to the cloud's {run.recipe.split.cloud_from}: "
        f"{adapter.channels} channels of {adapter.bits} bits, stride {adapter.encoder_stride}.",
        "",
        "Top-1 accuracy in % of the float system, weights as stored (float16):",
        "",
        "| data | edge | cloud | adapted (ECC-A) |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {where} | " + " | ".join(f"{100 * values[path]:.2f}" for path in PATHS) + " |"
        for where, values in measured.items()
    ]
    lines += [
        "",
        "Trained on 59,000 images of Fashion-MNIST's training part. The other 1,000 are the embedded val part, which "
        "no training has seen; test images chose nothing.",
        "",
        "Recipes, in order: " + ", ".join(f"`recipes/{path.name}`" for path in recipes) + f". Seed {run.recipe.seed}, "
        f"{run.metrics['torch_threads']} threads, torch {torch.__version__.split('+')[0]}. `metrics.json` holds the "
        "epochs of the last one. Licence: Apache-2.0, as the project.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipes", type=Path, nargs="+", required=True)
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    state = load_file(arguments.run / "system.safetensors")
    halved = {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
    save_file(halved, arguments.out / "system.safetensors")
    (arguments.out / "system.safetensors").chmod(0o644)
    for name in ("system.toml", "metrics.json"):
        (arguments.out / name).write_bytes((arguments.run / name).read_bytes())

    before = measure(load_run(arguments.run), "fashion-mnist", "test")
    run = load_run(arguments.out)
    measured = {
        "fashion-mnist test (10,000)": measure(run, "fashion-mnist", "test"),
        "fashion-mnist-sample test (1,000)": measure(run, "fashion-mnist-sample", "test"),
        "fashion-mnist-sample val (1,000)": measure(run, "fashion-mnist-sample", "val"),
    }
    print("float32, full test:", json.dumps(before))
    costs = {
        "edge": macs(run.system.edge, run.system.input_shape),
        "cloud": macs(run.system.cloud, run.system.input_shape),
    }
    text = card(run, measured, costs, arguments.recipes)
    (arguments.out / "README.md").write_text(text)
    print(text)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    if size > LIMIT_BYTES:
        raise SystemExit(f"{arguments.out} takes {size} bytes, more than the {LIMIT_BYTES} that a shipped system may")


if __name__ == "__main__":
    main()
