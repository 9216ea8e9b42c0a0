"""Evaluation of a float system by the three criteria: performance, computation, communication.

What a device, a link and a server make of it is measured by ``bench``; this is the system itself, before it is
compiled, with the same comparators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ecc_deploy import data
from ecc_deploy.data import Dataset, Samples
from ecc_deploy.errors import RunError
from ecc_deploy.evaluation.answers import float_answers
from ecc_deploy.evaluation.criteria import accuracy, collaborate, gap_recovered
from ecc_deploy.evaluation.thresholds import for_offload_rate
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL, halves_of
from ecc_deploy.payload import Codec, TensorSpec, make_codec
from ecc_deploy.payload.choice import (
    CASCADE_COMPARATORS,
    IMAGE_COMPARATORS,
    LOSSLESS_IMAGE,
    boundary_candidates,
    choose,
    mean_bytes,
    through,
)
from ecc_deploy.progress import Progress, silent
from ecc_deploy.runtime.gate import confidence
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.loop import path_logits
from ecc_deploy.training.run import load_run


@dataclass(frozen=True)
class Row:
    """One way to answer. MACs and bytes are means over all samples, sent or not."""

    name: str
    accuracy: float
    """0 to 1."""
    gap_recovered: float | None
    """Share of the way from edge-only to cloud-only accuracy."""
    offload_rate: float
    edge_macs: float
    cloud_macs: float
    payload_bytes: float


@dataclass(frozen=True)
class Evaluation:
    """All rows of one system on one part of its dataset."""

    system: str
    split: str
    dataset: str
    part: str
    samples: int
    gate: str
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """The row ``name``; raises KeyError."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> dict:
        """The evaluation as plain data."""
        return asdict(self)


def evaluate(
    run: str | Path,
    *,
    part: str = "test",
    offload_rate: float = 0.3,
    gate: str = "max-softmax",
    image_codecs: Sequence[str] = IMAGE_COMPARATORS,
    progress: Progress = silent,
) -> Evaluation:
    """Evaluate the float system of a run on ``part`` of its dataset.

    The gates' thresholds are chosen on the val part for ``offload_rate`` (0 to 1), so the rate on ``part`` may differ.
    Random offload at the rate of ECC-I and of ECC-D shows what the gate is worth: its accuracy is the expected one.
    """
    loaded = load_run(run)
    missing = [name for name in ("edge", "cloud") if name not in loaded.parts]
    if missing:
        raise RunError(f"{loaded.path} holds no trained {' and no trained '.join(missing)}")
    facts = data.load(loaded.recipe.data.name, loaded.recipe.data.folder)
    judge = _Judge(loaded.system, facts, facts.part(part), gate, offload_rate)
    work: list[Callable[[], list[Row]]] = [partial(judge.cloud_only, codec) for codec in image_codecs]
    work += [partial(judge.independent, codec) for codec in ("auto", *CASCADE_COMPARATORS)]
    work += [judge.adapted] if "adapter" in loaded.parts else []
    rows = judge.edge_only()
    for number, step in enumerate(work):
        progress("Evaluate", number, len(work), rows[-1].name)
        rows += step()
    progress("Evaluate", len(work), len(work), "done")
    return Evaluation(
        system=loaded.recipe.name,
        split=loaded.system.split.name,
        dataset=facts.name,
        part=part,
        samples=len(judge.samples),
        gate=gate,
        rows=tuple(rows),
    )


class _Judge:
    def __init__(
        self, system: EdgeCloudSystem, facts: Dataset, samples: Samples, gate: str, offload_rate: float
    ) -> None:
        self.system, self.facts, self.samples = system, facts, samples
        self.images = facts.normalisation(samples.images)
        self.answers = float_answers(system, self.images)
        val = facts.part("val")
        val_edge = path_logits(system, torch.from_numpy(facts.normalisation(val.images)), ("edge",))["edge"].numpy()
        threshold = for_offload_rate(confidence(val_edge, gate), offload_rate)
        self.sent = confidence(self.answers.edge, gate) < threshold
        self.edge_accuracy = accuracy(self.answers.edge, samples.labels)
        self.cloud_accuracy = accuracy(self.answers.cloud, samples.labels)
        self.halves = halves_of(system, len(facts.classes))
        self.pixels = TensorSpec("uint8", facts.image_shape)

    def _row(self, name: str, value: float, rate: float, edge: str | None, cloud: str | None, size: float) -> Row:
        return Row(
            name=name,
            accuracy=value,
            gap_recovered=gap_recovered(value, self.edge_accuracy, self.cloud_accuracy),
            offload_rate=rate,
            edge_macs=self.halves.sources[edge].macs if edge else 0,
            cloud_macs=rate * self.halves.sources[cloud].macs if cloud else 0,
            payload_bytes=rate * size,
        )

    def edge_only(self) -> list[Row]:
        return [self._row("edge-only", self.edge_accuracy, 0.0, EXIT, None, 0.0)]

    def _cloud_answers(self, codec: Codec) -> np.ndarray:
        """Of the whole cloud model, on images as the codec delivers them."""
        if codec.is_lossless:
            return self.answers.cloud
        seen = self.facts.normalisation(through(codec, self.samples.images))
        return path_logits(self.system, torch.from_numpy(seen), ("cloud",))["cloud"].numpy()

    def cloud_only(self, spec: str) -> list[Row]:
        codec = make_codec(spec, self.pixels)
        value = accuracy(self._cloud_answers(codec), self.samples.labels)
        return [self._row(f"cloud-only/{spec}", value, 1.0, None, FULL, mean_bytes(codec, self.samples.images))]

    def _gated(self, name: str, cloud: np.ndarray, halves: tuple[str, str], size: float) -> list[Row]:
        rate = float(self.sent.mean())
        value = accuracy(collaborate(self.answers.edge, cloud, self.sent), self.samples.labels)
        chance = (1 - rate) * self.edge_accuracy + rate * accuracy(cloud, self.samples.labels)
        return [
            self._row(name, value, rate, *halves, size),
            self._row(f"{name}, at random", chance, rate, *halves, size),
        ]

    def independent(self, spec: str) -> list[Row]:
        codec = choose(spec, LOSSLESS_IMAGE, self.pixels, self.samples.images)
        # Which samples are sent changes their mean size: hard ones are often busier.
        sent = self.samples.images[self.sent]
        size = mean_bytes(codec, sent) if len(sent) else 0
        name = "independent" if spec == "auto" else f"independent/{spec}"
        return self._gated(name, self._cloud_answers(codec), (EXIT, FULL), size)

    def adapted(self) -> list[Row]:
        boundary = self.halves.boundary
        with torch.no_grad():
            encoder = self.halves.sources[ENCODE].module.eval()
            quantizer = self.system.adapter.quantizer
            batches = torch.split(torch.from_numpy(self.images), 500)
            codes = torch.cat([quantizer.codes(encoder(x)) for x in batches]).numpy()
        tensor = TensorSpec(boundary.tensor.dtype, boundary.tensor.shape)
        codec = choose("auto", boundary_candidates(boundary.bits), tensor, codes)
        value = accuracy(self.answers.adapted, self.samples.labels)
        sent = codes[self.sent]
        size = mean_bytes(codec, sent) if len(sent) else 0
        return [
            self._row("adaptive", value, 1.0, ENCODE, TAIL, mean_bytes(codec, codes)),
            *self._gated("dynamic", self.answers.adapted, (EXIT_AND_ENCODE, TAIL), size),
        ]
