"""The halves of a system, ready for a compiler: which module, which tensors, which boundary."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.bundle import Boundary, TensorInfo
from ecc_deploy.partition.cost import macs
from ecc_deploy.systems.adapter import Adapter
from ecc_deploy.systems.architectures import Adaptive, Dynamic, Independent
from ecc_deploy.systems.system import EdgeCloudSystem

EXIT, ENCODE, EXIT_AND_ENCODE, FULL, TAIL = "exit", "encode", "exit-and-encode", "full", "tail"


@dataclass(frozen=True)
class Halves:
    """Every half of one system, by key, and the boundary between ``encode`` and ``tail``."""

    sources: dict[str, HalfSource]
    boundary: Boundary

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Every half's module, by its key."""
        return {key: source.module for key, source in self.sources.items()}


def boundary_of(adapter: Adapter) -> Boundary:
    """The boundary as the manifest describes it, with the step that training learned."""
    quantizer = adapter.quantizer
    is_integer = quantizer.is_integer
    return Boundary(
        tensor=TensorInfo(
            name="boundary",
            dtype="uint8" if is_integer else "float32",
            shape=adapter.boundary_shape,
            layout="NCHW",
        ),
        bits=quantizer.bits,
        scale=quantizer.step.item() if is_integer else None,
        zero_point=0 if is_integer else None,
    )


def halves_of(system: EdgeCloudSystem, classes: int, *, learned_gate: bool = False) -> Halves:
    """The five halves that the deployments are made of.

    ``learned_gate``: the system's gate is trained, so ``exit`` and ``exit-and-encode`` also give its ``confidence``.
    """
    boundary = boundary_of(system.adapter)
    image = TensorInfo(name="image", dtype="float32", shape=system.input_shape, layout="NCHW")
    logits = TensorInfo(name="logits", dtype="float32", shape=(classes,), layout="NC")
    confidence = [TensorInfo(name="confidence", dtype="float32", shape=(1,), layout="NC")] if learned_gate else []
    independent = Independent(system, learned_gate=learned_gate)
    adaptive, dynamic = Adaptive(system), Dynamic(system, learned_gate=learned_gate)

    def edge(key: str, module: nn.Module, *outputs: TensorInfo) -> HalfSource:
        crossing = boundary if boundary.tensor in outputs else None
        return HalfSource(key, "edge", module, (image,), outputs, crossing, macs(module, image.shape))

    def cloud(key: str, module: nn.Module, entry: TensorInfo) -> HalfSource:
        crossing = boundary if entry is boundary.tensor else None
        return HalfSource(key, "cloud", module, (entry,), (logits,), crossing, macs(module, entry.shape))

    sources = [
        edge(EXIT, independent.edge_half(), logits, *confidence),
        edge(ENCODE, adaptive.edge_half(), boundary.tensor),
        edge(EXIT_AND_ENCODE, dynamic.edge_half(), logits, boundary.tensor, *confidence),
        cloud(FULL, independent.cloud_half(), image),
        cloud(TAIL, adaptive.cloud_half(), boundary.tensor),
    ]
    return Halves({source.key: source for source in sources}, boundary)
