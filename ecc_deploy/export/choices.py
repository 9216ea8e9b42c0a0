"""What an export is asked for, beyond targets and precisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ecc_deploy.backends.targets import Side, Target
from ecc_deploy.bundle.manifest import Precision
from ecc_deploy.errors import RunError, TargetError, UsageError
from ecc_deploy.evaluation.result import AUTO
from ecc_deploy.evaluation.scores import chosen_scores
from ecc_deploy.export.gating import Wanted

if TYPE_CHECKING:
    from ecc_deploy.training.run import Run

DEFAULT_OFFLOAD_RATE = 0.3


@dataclass(frozen=True)
class Choices:
    """As :func:`~ecc_deploy.export.exporter.export` describes them. Raises :class:`UsageError` for impossible ones."""

    gate: str = AUTO
    offload_rate: float | None = None
    min_accuracy: float | None = None
    fusion: str = AUTO
    codec: str = AUTO
    image_codec: str = AUTO
    max_drop: float = 1.0

    def __post_init__(self) -> None:
        if self.offload_rate is not None and self.min_accuracy is not None:
            raise UsageError("give an offload rate or a minimum accuracy, not both")
        if self.fusion not in (AUTO, "off"):
            raise UsageError(f"there is no fusion {self.fusion!r}", "Give auto or off.")

    def wanted(self, run: Run) -> Wanted:
        """What is wanted of the gates of ``run``. Raises :class:`UsageError` for a score that it does not offer."""
        scores = chosen_scores(self.gate, has_learned="gate" in run.parts, name=run.recipe.name)
        is_default = self.offload_rate is None and self.min_accuracy is None
        rate = DEFAULT_OFFLOAD_RATE if is_default else self.offload_rate
        return Wanted(scores, rate, self.min_accuracy, fused=self.fusion == AUTO)


_MORE_EXACT: dict[Precision, tuple[Precision, ...]] = {
    "int8": ("int8", "fp16", "fp32"),
    "fp16": ("fp16", "fp32"),
    "bf16": ("bf16", "fp32"),
    "fp32": ("fp32",),
}


def precision_of(target: Target, side: Side, wanted: str) -> Precision:
    """``wanted``, if ``target`` has that precision and can be the ``side``. Raises :class:`TargetError`."""
    check_side(target, side)
    for precision in target.precisions:
        if precision == wanted:
            return precision
    raise TargetError(
        f"the target {target.name} has no precision {wanted!r}", f"It has: {', '.join(target.precisions)}."
    )


def precision_beside(target: Target, other: Precision) -> Precision:
    """For the half of ``target`` beside one in ``other``: the same, or the next more exact one; else its default."""
    offered = [precision for precision in _MORE_EXACT[other] if precision in target.precisions]
    return offered[0] if offered else target.default_precision


def check_side(target: Target, side: Side) -> None:
    """Raise :class:`TargetError` where ``target`` cannot be the ``side``."""
    if side not in target.sides:
        raise TargetError(f"the target {target.name} cannot be the {side}", f"It can be: {', '.join(target.sides)}.")


def check_trained(run: Run) -> None:
    """Raise :class:`RunError` where ``run`` lacks a part that a bundle is made of."""
    missing = [part for part in ("edge", "cloud", "adapter") if part not in run.parts]
    if missing:
        raise RunError(
            f"{run.path} holds no trained {' and no trained '.join(missing)}",
            "Train it: a recipe with `init` set to this run and a phase that trains what is missing. "
            "`ecc-deploy train fashion-mnist-quickstart --out RUN` shows one.",
        )
