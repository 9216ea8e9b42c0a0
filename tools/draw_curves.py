"""Draw the curves of an evaluation as one SVG for the documentation: accuracy against bytes, and against cloud MACs.

    pip install -c constraints.txt matplotlib
    python tools/draw_curves.py evaluation.json docs/figures/NAME.svg

``evaluation.json`` is what ``ecc-deploy evaluate --json`` prints, or benchmarks/headline.py writes; of several seeds
the means are drawn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "ecc-deploy", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402  (after the backend is chosen)
from matplotlib.axes import Axes  # noqa: E402

Facts = dict[str, Any]

SHOWN = {
    "dynamic": ("ECC-D", "#0b6e4f", "-", "o"),
    "independent": ("ECC-I, lossless", "#c44900", "--", "s"),
    "independent/webp:95": ("ECC-I, WebP 95", "#d97b29", "-.", "^"),
    "independent/webp:80": ("ECC-I, WebP 80", "#8c5b9f", ":", "v"),
    "independent/webp:50": ("ECC-I, WebP 50", "#577590", (0, (1, 3)), "D"),
}
MARKED = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Wanted offload rates at which a curve has a marker."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    facts = json.loads(given.evaluation.read_text())
    figure, (by_bytes, by_macs) = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True)
    curves = {curve["name"]: curve for curve in facts["curves"] if curve["gate"] == facts["gate"]}
    for name, style in SHOWN.items():
        if name in curves:
            draw(by_bytes, curves[name], "payload_bytes", 1, style)
            if not name.startswith("independent/"):  # with a lossy codec the same MACs buy a little less
                draw(by_macs, curves[name], "cloud_macs", 1e-6, style)
    for row in facts["rows"]:
        if row["architecture"] == "adaptive":
            label = "ECC-A, fused" if row["fused"] else "ECC-A"
            marker = "P" if row["fused"] else "X"
            for axes, key, scale in ((by_bytes, "payload_bytes", 1), (by_macs, "cloud_macs", 1e-6)):
                axes.plot(scale * row[key], 100 * row["accuracy"], marker, color="#333333", ms=8, ls="", label=label)
        if row["architecture"] == "cloud-only" and row["accuracy"] > edge_accuracy(facts):
            by_bytes.plot(row["payload_bytes"], 100 * row["accuracy"], ".", color="#888888")
            if ":" in row["codec"]:  # the lossless ones lie on one line
                place = (row["payload_bytes"], 100 * row["accuracy"])
                by_bytes.annotate(row["codec"], place, fontsize=6, color="#666666", va="top")
    levels(by_bytes, facts)
    levels(by_macs, facts)
    by_bytes.set_xscale("log")
    by_macs.set_xscale("log")
    by_bytes.set_xlabel("payload, bytes per sample, mean over all samples")
    by_bytes.set_ylabel(f"top-1 accuracy, %, {facts['dataset']} {facts['part']}, {facts['samples']:,} images")
    by_macs.set_xlabel("cloud computation, million MACs per sample, mean over all samples")
    by_bytes.set_ylim(bottom=100 * edge_accuracy(facts) - 0.25)
    by_macs.legend(*by_bytes.get_legend_handles_labels(), fontsize=7, ncols=2, loc="upper left")
    figure.tight_layout()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(given.out, metadata={"Date": None})


def edge_accuracy(facts: Facts) -> float:
    value: float = next(row["accuracy"] for row in facts["rows"] if row["architecture"] == "edge-only")
    return value


def draw(axes: Axes, curve: Facts, key: str, scale: float, style: tuple[Any, ...]) -> None:
    label, colour, dash, marker = style
    points = [place for place, value in enumerate(curve[key]) if value > 0]
    marked = [i for i, place in enumerate(points) if curve["wanted_rate"][place] in MARKED]
    x, y = ([factor * curve[name][place] for place in points] for name, factor in ((key, scale), ("accuracy", 100)))
    axes.plot(x, y, color=colour, ls=dash, marker=marker, markevery=marked, ms=4, lw=1.6, label=label)


def levels(axes: Axes, facts: Facts) -> None:
    """Cloud-only on untouched images, and edge-only, across the plot."""
    cloud = next(row["accuracy"] for row in facts["rows"] if row["name"].startswith("cloud-only"))
    for value, name in ((cloud, "cloud-only"), (edge_accuracy(facts), "edge-only")):
        axes.axhline(100 * value, color="#999999", lw=0.8, ls=(0, (6, 3)))
        axes.annotate(
            name, (0.01, 100 * value), xycoords=("axes fraction", "data"), fontsize=7, va="bottom", color="#555555"
        )
    axes.grid(alpha=0.25)


if __name__ == "__main__":
    main()
