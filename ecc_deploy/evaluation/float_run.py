"""The float system of a run directory, to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ecc_deploy.errors import RunError
from ecc_deploy.evaluation.offline import chunks
from ecc_deploy.evaluation.subject import EdgeSide, Macs, Subject
from ecc_deploy.partition.cost import macs
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL, halves_of
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.payload.choice import LOSSLESS_IMAGE, boundary_candidates, choose
from ecc_deploy.training.paths import EVALUATION_BATCH, run_paths
from ecc_deploy.training.run import load_data, load_run


class FloatRun(Subject):
    """A run directory, or ``shipped:NAME``; on the GPU where there is one.

    The bottleneck's quantizer is part of the system as it was trained, so it acts here too.
    Raises :class:`RunError` where edge or cloud are not trained.
    """

    kind = "float"

    def __init__(self, run: str | Path, *, dataset: str | None = None, data_folder: str | Path | None = None) -> None:
        loaded = load_run(run, dataset=dataset, data_folder=data_folder)
        missing = [name for name in ("edge", "cloud") if name not in loaded.parts]
        if missing:
            raise RunError(f"{loaded.path} holds no trained {' and no trained '.join(missing)}")
        self.name, self.split = loaded.recipe.name, loaded.system.split.name
        self.dataset = load_data(loaded.recipe)
        self.parts = loaded.parts & {"edge", "cloud", "adapter", "gate"}
        system = loaded.system
        if "adapter" in self.parts:
            halves = halves_of(system, len(self.dataset.classes), learned_gate="gate" in self.parts)
            keys = (EXIT, FULL, ENCODE, EXIT_AND_ENCODE, TAIL)
            self.macs = Macs(*(halves.sources[key].macs for key in keys))
            self._boundary = halves.boundary
        else:
            self.macs = Macs(*(macs(model, system.input_shape) for model in (system.edge, system.cloud)))
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._system = system.to(self._device).eval()

    def _batches(self, images: np.ndarray) -> Iterator[torch.Tensor]:
        for batch in chunks(images, EVALUATION_BATCH):
            yield torch.from_numpy(self.dataset.normalisation(batch)).to(self._device)

    @torch.no_grad()
    def edge_side(self, images: np.ndarray) -> EdgeSide:
        system, split = self._system, self._system.split
        stages, rest = system.edge.through(split.edge_after), system.edge.after(split.edge_after)
        edge, confidence, codes = [], [], []
        for x in self._batches(images):
            feature = stages(x)
            logits = rest(feature).float()
            edge.append(logits.cpu())
            if "gate" in self.parts:
                confidence.append(system.gate(logits, feature.float()).squeeze(1).cpu())
            if "adapter" in self.parts:
                codes.append(system.adapter.quantizer.codes(system.adapter.encoder(feature)).cpu())
        answers = torch.cat(edge).numpy()
        sure = torch.cat(confidence).numpy() if confidence else None
        if not codes:
            return EdgeSide(answers, sure)
        sent = torch.cat(codes).numpy()
        return EdgeSide(answers, sure, sent, answers, sure, sent)

    @torch.no_grad()
    def cloud_logits(self, images: np.ndarray) -> np.ndarray:
        found = [run_paths(self._system, x, ("cloud",)).logits("cloud").cpu() for x in self._batches(images)]
        return torch.cat(found).numpy()

    @torch.no_grad()
    def tail_logits(self, codes: np.ndarray) -> np.ndarray:
        step = self._system.adapter.quantizer.step if self._boundary.scale is not None else 1.0
        found = []
        for batch in chunks(codes, EVALUATION_BATCH):
            received = torch.from_numpy(batch).to(self._device).float() * step
            found.append(self._system.tail(self._system.adapter.decoder(received)).float().cpu())
        return torch.cat(found).numpy()

    def image_codec(self, images: np.ndarray) -> Codec:
        return choose("auto", LOSSLESS_IMAGE, TensorSpec("uint8", self.dataset.image_shape), images)

    def boundary_codec(self, codes: np.ndarray) -> Codec:
        tensor = TensorSpec(self._boundary.tensor.dtype, self._boundary.tensor.shape)
        return choose("auto", boundary_candidates(self._boundary.bits, with_table=True), tensor, codes)
