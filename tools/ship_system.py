"""Put a trained run among the systems that ship with the package.

Stores the weights as float16 (half the size; what that costs is measured and written down), measures accuracy on the
parts of datasets that are named, and writes the model card from what was measured.

    python tools/ship_system.py RUN ecc_deploy/zoo/weights/NAME \\
        --recipes RECIPE.toml [RECIPE.toml ...] --measure DATASET:PART [DATASET:PART ...]

Where the folder holds a ``headline.json`` (made by benchmarks/headline.py), its figures go into the card too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ecc_deploy import data
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.partition.cost import macs
from ecc_deploy.training.losses import fused_log_probabilities
from ecc_deploy.training.paths import path_logits
from ecc_deploy.training.run import Run, load_data, load_run

ANSWERS = ("edge", "cloud", "adapted", "fused")


def measure(run: Run, dataset: str, part: str) -> dict[str, float]:
    """Top-1 accuracy, 0 to 1, of every path of the float system, and of edge and adapted path together."""
    facts = data.load(dataset)
    samples = facts.part(part)
    images = torch.from_numpy(facts.normalisation(samples.images))
    found = path_logits(run.system, images, ("edge", "cloud", "adapted"))
    found["fused"] = fused_log_probabilities(found["edge"], found["adapted"])
    return {answer: accuracy(found[answer].numpy(), samples.labels) for answer in ANSWERS}


def card(run: Run, measured: dict[str, dict[str, float]], costs: dict[str, int], recipes: list[Path], note: str) -> str:
    """The model card, in Markdown."""
    recipe, source = run.recipe, load_data(run.recipe)
    adapter = recipe.adapter
    lines = [
        f"# {recipe.name}",
        "",
        f"Edge: `{recipe.edge.model}` {recipe.edge.arguments}, {costs['edge'] / 1e6:.2f} M MACs. "
        f"Cloud: `{recipe.cloud.model}` {recipe.cloud.arguments}, {costs['cloud'] / 1e6:.2f} M MACs "
        f"({costs['cloud'] / costs['edge']:.0f} times the edge's). "
        f"Adapter from the edge's {recipe.split.edge_after} to the cloud's {recipe.split.cloud_from}: "
        f"{adapter.channels} channels of {adapter.bits} bits, stride {adapter.encoder_stride}.",
        "",
        "Top-1 accuracy in % of the float system, weights as stored (float16); fused: the mean of the probabilities of "
        "edge and adapted path.",
        "",
        "| data | edge | cloud | adapted (ECC-A) | fused |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {where} | " + " | ".join(f"{100 * values[answer]:.2f}" for answer in ANSWERS) + " |"
        for where, values in measured.items()
    ]
    lines += [
        "",
        f"Trained on the {len(source.part('train')):,} training images of {source.name}. Its "
        f"{len(source.part('val')):,} val images, which no training has seen, chose thresholds, gates and fusion."
        + (f" {note}" if note else ""),
        "",
        "Recipes, in order: " + ", ".join(f"`recipes/{path.name}`" for path in recipes) + f". Seed {recipe.seed}, "
        f"CPU threads: {run.metrics['torch_threads']}, {run.metrics.get('precision', 'float32')}, torch "
        f"{run.metrics.get('torch', torch.__version__).split('+')[0]}. `metrics.json` holds the epochs of the last "
        "one. Licence: Apache-2.0, as the project.",
        "",
    ]
    return "\n".join(lines)


def headline_table(headline: dict[str, Any], seed: int) -> str:
    """What the compiled halves do, of one seed and over all that were published, in Markdown."""
    seeds = headline["seeds"]
    spread = (
        ""
        if len(seeds) == 1
        else (
            f" Seed {seed}, which ships; in brackets mean ± standard deviation of the seeds {', '.join(seeds)}, which "
            "share the cloud model."
        )
    )
    lines = [
        f"## Compiled: int8 halves, {headline['dataset']} {headline['part']}, {headline['samples']:,} images",
        "",
        f"Gates for a wanted offload rate of {100 * headline['offload_rate']:g} %.{spread}",
        "",
        "| | top-1 % | sent % | payload B | cloud M MACs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for place, row in enumerate(seeds[str(seed)]):
        cells = [
            _cell([scale * rows[place][key] for rows in seeds.values()], scale * row[key], digits)
            for key, scale, digits in (
                ("accuracy", 100, 2),
                ("offload_rate", 100, 1),
                ("payload_bytes", 1, 1),
                ("cloud_macs", 1e-6, 2),
            )
        ]
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cell(values: Sequence[float], own: float, digits: int) -> str:
    text = f"{own:,.{digits}f}"
    if len(values) < 2 or max(values) == min(values):
        return text
    return f"{text} ({fmean(values):,.{digits}f} ± {stdev(values):,.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipes", type=Path, nargs="+", required=True)
    parser.add_argument("--measure", nargs="+", required=True, metavar="DATASET:PART")
    parser.add_argument("--note", default="", help="a sentence on how this system was chosen")
    parser.add_argument("--limit", type=int, default=10_000_000, help="bytes that it may take (default 10,000,000)")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    state = load_file(arguments.run / "system.safetensors")
    halved = {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
    save_file(halved, arguments.out / "system.safetensors")
    (arguments.out / "system.safetensors").chmod(0o644)
    for name in ("system.toml", "metrics.json"):
        (arguments.out / name).write_bytes((arguments.run / name).read_bytes())

    places = [place.rpartition(":")[::2] for place in arguments.measure]
    run = load_run(arguments.out)
    measured = {}
    for dataset, part in places:
        title = f"{dataset} {part} ({len(data.load(dataset).part(part)):,})"
        measured[title] = measure(run, dataset, part)
        print(f"{title}, float32:", json.dumps(measure(load_run(arguments.run), dataset, part)))
    costs = {
        "edge": macs(run.system.edge, run.system.input_shape),
        "cloud": macs(run.system.cloud, run.system.input_shape),
    }
    text = card(run, measured, costs, arguments.recipes, arguments.note)
    headline = arguments.out / "headline.json"
    if headline.is_file():
        text += "\n" + headline_table(json.loads(headline.read_text()), run.recipe.seed)
    (arguments.out / "README.md").write_text(text)
    print(text)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    if size > arguments.limit:
        raise SystemExit(f"{arguments.out} takes {size} bytes, more than the {arguments.limit} that it may")


if __name__ == "__main__":
    main()
