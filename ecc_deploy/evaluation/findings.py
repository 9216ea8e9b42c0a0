"""What an evaluation says of ECC-D, in sentences computed from it: where it wins, and where it loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf, sqrt
from typing import Literal

from ecc_deploy.evaluation.readings import (
    CostName,
    Option,
    Ratio,
    Reading,
    Span,
    budgets,
    cheapest,
    most_accurate,
    options,
    ratios,
)
from ecc_deploy.evaluation.result import Evaluation

TARGETS = (0.005, 0.003, 0.0)
"""Distances to cloud-only, in accuracy, that are asked about."""
_NBSP = "\u00a0"
_WORTH = 0.25
"""Standard errors of an accuracy: a lead below is not worth a sentence."""


@dataclass(frozen=True)
class Finding:
    """One sentence: ``win`` speaks for ECC-D, ``loss`` against it."""

    kind: Literal["win", "loss", "note"]
    text: str


def findings(evaluation: Evaluation) -> list[Finding]:
    """All findings; none where the system has no trained adapter."""
    every = options(evaluation)
    subject = next((option for option in every if option.architecture == "dynamic"), None)
    if subject is None:
        return []
    cascades = [option for option in every if option.architecture == "independent"]
    rivals = [option for option in every if option.architecture in ("edge-only", "cloud-only", "independent")]
    edge = evaluation.row("edge-only").accuracy
    cloud = _cloud_accuracy(evaluation)
    error = sqrt(cloud * (1 - cloud) / evaluation.samples)
    worth = _WORTH * error
    return [
        _best(subject, rivals, cloud),
        *_targets(subject, cascades, cloud),
        *_every_sample(every, cloud),
        *_equal_accuracy(subject, cascades, edge, worth),
        *_budgets(subject, rivals, worth),
        *_gates(evaluation),
        *_fusion(evaluation),
        Finding(
            "note",
            f"One standard error of an accuracy of {_percent(cloud)} on {evaluation.samples:,} samples is "
            f"{_points(error)}; all answer the same samples, so differences between them are known better than that. "
            f"Leads below {_points(worth)}, and ranges of accuracy narrower than that, are left out.",
        ),
    ]


def _cloud_accuracy(evaluation: Evaluation) -> float:
    """Of cloud-only on untouched images: every row says its share of it."""
    row = next(row for row in evaluation.rows if row.of_cloud)
    return row.accuracy / (row.of_cloud or 1.0)


def _best(subject: Option, rivals: Sequence[Option], cloud: float) -> Finding:
    top = _top([subject])
    text = f"ECC-D reaches {_percent(top.accuracy)} at most, {_at(top)}"
    rival = _top(rivals)
    text += (
        f"; cloud-only {_percent(cloud)}, and of all others {rival.option.label} the most, {_percent(rival.accuracy)}."
    )
    return Finding("win" if top.accuracy >= rival.accuracy else "loss", text)


def _top(among: Sequence[Option]) -> Reading:
    found = most_accurate(among, float("inf"), "payload_bytes")
    assert found is not None
    return found


def _targets(subject: Option, cascades: Sequence[Option], cloud: float) -> Iterator[Finding]:
    """The smallest costs near cloud-only, beside ECC-I's."""
    everything = max(float(option.cloud_macs.max()) for option in cascades)
    for distance in TARGETS:
        wanted = cloud - distance
        name = f"within {100 * distance:g} points of cloud-only" if distance else "the accuracy of cloud-only"
        own = cheapest([subject], wanted, "payload_bytes")
        rival = cheapest(cascades, wanted, "payload_bytes")
        macs = cheapest(cascades, wanted, "cloud_macs")
        beside = "no ECC-I does"
        if rival is not None and macs is not None:
            beside = (
                f"{rival.option.label} sends {_bytes(rival.payload_bytes)}, and ECC-I computes "
                f"{_macs(macs.cloud_macs)} at least"
            )
        if own is None:
            yield Finding("loss", f"ECC-D does not reach {_percent(wanted)}, {name}; {beside}.")
            continue
        wins = {
            rival is None or own.payload_bytes <= rival.payload_bytes,
            macs is None or own.cloud_macs <= macs.cloud_macs,
        }
        text = f"For {_percent(wanted)}, {name}, ECC-D sends {_bytes(own.payload_bytes)} per sample and computes "
        text += f"{_macs(own.cloud_macs)} in the cloud, {_percent(1 - own.cloud_macs / everything, 1)} fewer than "
        text += f"cloud-only ({_percent(own.offload_rate, 1)} offloaded); {beside}."
        yield Finding("note" if len(wins) == 2 else "win" if True in wins else "loss", text)


def _every_sample(every: Sequence[Option], cloud: float) -> Iterator[Finding]:
    """ECC-A, which has no gate."""
    for option in every:
        if option.architecture == "adaptive":
            point = Reading(option, 0)
            below = cloud - point.accuracy
            distance = f"{_points(abs(below))} {'below' if below > 0 else 'above'} cloud-only"
            name = "ECC-A, fused," if "fused" in option.name else "ECC-A"
            text = f"{name} answers every sample, {_percent(point.accuracy)} of them right, {distance}, {_at(point)}."
            yield Finding("note", text)


def _equal_accuracy(subject: Option, cascades: Sequence[Option], edge: float, worth: float) -> Iterator[Finding]:
    """Where both reach an accuracy, what it costs each: one sentence for where ECC-D needs less, one for the rest.

    Over ranges of accuracy of at least ``worth``: within less, who needs less is chance.
    """
    costs: tuple[tuple[CostName, str], ...] = (("cloud_macs", "cloud MACs"), ("payload_bytes", "bytes"))
    for cost, what in costs:
        parts = [part for part in ratios(subject, cascades, cost, edge) if part.high - part.low >= worth]
        for is_win in (True, False):
            chosen = [part for part in parts if (part.most < 1) == is_win]
            if chosen:
                share = _share(min(part.least for part in chosen), max(part.most for part in chosen))
                text = f"At equal accuracy ECC-D needs {share} {what} than ECC-I {_ranges(chosen)}."
                yield Finding("win" if is_win else "loss", text)


def _ranges(parts: Sequence[Ratio]) -> str:
    """The widest three, by rising accuracy."""
    widest = sorted(sorted(parts, key=lambda part: part.low - part.high)[:3], key=lambda part: part.low)
    texts = [
        f"at {_percent(part.low)}" if part.low == part.high else f"from {_percent(part.low)} to {_percent(part.high)}"
        for part in widest
    ]
    rest = len(parts) - len(texts)
    return ", ".join(texts) + (f", and in {rest} narrower range{'s' if rest > 1 else ''}" if rest else "")


def _share(least: float, most: float) -> str:
    """``30 to 60 % fewer``, from ratios that are all below 1, or ``10 % more``, from ratios of which none is."""
    word = "fewer" if most < 1 else "more"
    low, high = sorted(round(100 * abs(1 - ratio)) for ratio in (least, most))
    return f"{low}{_NBSP}% {word}" if low == high else f"{low} to {high}{_NBSP}% {word}"


def _budgets(subject: Option, rivals: Sequence[Option], worth: float) -> Iterator[Finding]:
    """Byte budgets in which ECC-D is the most accurate of all by at least ``worth``, and those in which it is not."""
    spans = [span for span in budgets(subject, rivals, "payload_bytes") if span.lead >= worth]
    if not any(span.ahead for span in spans):
        yield Finding("loss", "There is no byte budget at which ECC-D is more accurate than all others.")
    for span in spans:
        if span.ahead:
            text = f"{_range(span)} ECC-D is the most accurate of all: by up to {_points(span.lead)}, at "
            text += f"{_bytes(span.own.payload_bytes)} ({_percent(span.own.accuracy)} against "
            text += f"{_percent(span.rival.accuracy)} of {span.rival.option.label})."
        else:
            text = f"{_range(span)} ECC-D is not the most accurate: {span.rival.option.label} leads by up to "
            text += f"{_points(span.lead)} ({_percent(span.rival.accuracy)} at {_bytes(span.rival.payload_bytes)}, "
            text += f"against {_percent(span.own.accuracy)})."
        yield Finding("win" if span.ahead else "loss", text)


def _range(span: Span) -> str:
    low = _bytes(span.low)
    return f"From {low} per sample on" if isinf(span.high) else f"From {low} to {_bytes(span.high)} per sample"


def _gates(evaluation: Evaluation) -> Iterator[Finding]:
    found = sorted((r for r in evaluation.recalls if r.architecture == "dynamic"), key=lambda recall: -recall.area)
    if found:
        areas = ", ".join(f"{recall.gate} {recall.area:.3f}" for recall in found)
        yield Finding("note", f"Area under the recall-offload curve of ECC-D's gates (chance 0.5): {areas}.")


def _fusion(evaluation: Evaluation) -> Iterator[Finding]:
    rows = {row.name: row.accuracy for row in evaluation.rows}
    pairs = {
        "ECC-D": ("dynamic", "dynamic, not fused"),
        "ECC-A": ("adaptive, fused", "adaptive"),
        "ECC-I": ("independent", "independent, not fused"),
    }
    gains = {name: rows[one] - rows[other] for name, (one, other) in pairs.items() if {one, other} <= set(rows)}
    if gains:
        text = ", ".join(f"{name} {f'{100 * gain:+.2f}'.replace('-', '−')}" for name, gain in gains.items())
        yield Finding("note", f"What fusing edge and cloud answers gives at these rates, in points: {text}.")


def _at(reading: Reading) -> str:
    return f"at {_bytes(reading.payload_bytes)} per sample and {_macs(reading.cloud_macs)} in the cloud"


def _percent(share: float, digits: int = 2) -> str:
    return f"{100 * share:.{digits}f}{_NBSP}%"


def _points(difference: float) -> str:
    return f"{100 * difference:.2f} points"


def _bytes(value: float) -> str:
    return f"{value:,.1f}{_NBSP}B" if value < 100 else f"{value:,.0f}{_NBSP}B"


def _macs(value: float) -> str:
    digits = 2 if value < 1e8 else 0
    return f"{value / 1e6:,.{digits}f}{_NBSP}M{_NBSP}MACs"
