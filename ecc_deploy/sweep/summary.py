"""From measured trials to ``sweep.json``: points, the Pareto front, and means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np

from ecc_deploy.evaluation.pareto import CRITERIA, pareto_front
from ecc_deploy.sweep.recipe import Setting, SweepRecipe
from ecc_deploy.sweep.result import TRIALS, AblationRow, Figures, Measured, Point, Spread, Sweep, Trial
from ecc_deploy.sweep.study import Standing
from ecc_deploy.sweep.table import encode

SEED = "seed"


def summarise(sweep: SweepRecipe, standing: Standing) -> Sweep:
    """All that is finished."""
    rates = sweep.table.offload_rates
    first = standing.measured[0][1] if standing.measured else None
    return Sweep(
        name=sweep.name,
        sampler=sweep.table.sampler,
        dataset=first.dataset if first else "",
        samples=first.samples if first else 0,
        finished=standing.finished,
        running=standing.running,
        waiting=standing.waiting,
        trials=[_trial(setting, measured) for setting, measured in standing.measured],
        points=_points(standing.measured, rates),
        ablation=_ablation(standing.measured, rates),
        failures=standing.failures,
    )


def of_interest(measured: Measured, rates: Sequence[float]) -> list[Figures]:
    """ECC-A, and ECC-D at the offload rates of the sweep."""
    return [item for item in measured.figures if item.architecture == "adaptive" or item.wanted_rate in rates]


def guided_values(sweep: SweepRecipe, measured: Measured) -> list[float]:
    """What the sampler is told: the guide's criteria of its architecture, fused where there is fusion."""
    guide = sweep.table.guide
    rate = 1.0 if guide.architecture == "adaptive" else guide.offload_rate
    alike = [f for f in measured.figures if f.architecture == guide.architecture and f.wanted_rate == rate]
    chosen = max(alike, key=lambda figures: figures.fused)
    return [float(getattr(chosen, name)) for name in guide.criteria]


def _trial(setting: Setting, measured: Measured) -> Trial:
    return Trial(
        key=setting.key,
        run=f"{TRIALS}/{setting.key}",
        variant=setting.variant,
        changes=dict(setting.changes),
        edge_accuracy=measured.edge_accuracy,
        cloud_accuracy=measured.cloud_accuracy,
    )


def _points(found: Sequence[tuple[Setting, Measured]], rates: Sequence[float]) -> list[Point]:
    trained = {setting.key: measured for setting, measured in found}
    figures = [(key, item) for key, measured in trained.items() for item in of_interest(measured, rates)]
    if not figures:
        return []
    criteria = np.asarray([[getattr(item, name) for name in CRITERIA] for _, item in figures])
    front = set(pareto_front(criteria, list(CRITERIA.values())).tolist())
    return [
        Point(**item.model_dump(), trial=key, on_front=number in front) for number, (key, item) in enumerate(figures)
    ]


def _ablation(found: Sequence[tuple[Setting, Measured]], rates: Sequence[float]) -> list[AblationRow]:
    groups: dict[str, list[tuple[Setting, Measured]]] = {}
    for setting, measured in found:
        groups.setdefault(encode([setting.variant, _without_seed(setting)]), []).append((setting, measured))
    return [_ablation_row(alike, rates) for alike in groups.values()]


def _without_seed(setting: Setting) -> dict:
    return {path: value for path, value in setting.changes.items() if path != SEED}


def _ablation_row(alike: Sequence[tuple[Setting, Measured]], rates: Sequence[float]) -> AblationRow:
    setting = alike[0][0]

    def over_seeds(name: str, architecture: str, rate: float, *, fused: bool | None = None) -> Spread | None:
        """``fused=None``: whichever of the two there is."""
        values = [
            getattr(figures, name)
            for _, measured in alike
            for figures in measured.figures
            if (figures.architecture, figures.wanted_rate) == (architecture, rate) and fused in (None, figures.fused)
        ]
        return spread(values) if values else None

    adaptive = over_seeds("accuracy", "adaptive", 1.0, fused=False)
    adaptive_bytes = over_seeds("payload_bytes", "adaptive", 1.0, fused=False)
    assert adaptive is not None
    assert adaptive_bytes is not None
    return AblationRow(
        variant=setting.variant,
        changes=_without_seed(setting),
        seeds=[one.recipe.seed for one, _ in alike],
        edge=spread([measured.edge_accuracy for _, measured in alike]),
        adaptive=adaptive,
        adaptive_fused=over_seeds("accuracy", "adaptive", 1.0, fused=True),
        adaptive_bytes=adaptive_bytes,
        dynamic={str(r): s for r in rates if (s := over_seeds("accuracy", "dynamic", r)) is not None},
        dynamic_bytes={str(r): s for r in rates if (s := over_seeds("payload_bytes", "dynamic", r)) is not None},
    )


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation."""
    return Spread(mean=fmean(values), std=stdev(values) if len(values) > 1 else None)
