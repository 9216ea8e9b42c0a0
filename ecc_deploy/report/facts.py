"""What is not measured but stated: bundle, guard results, settings, environment. As names and texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.schema_setting import Conditions
from ecc_deploy.report.formats import ABSENT, NBSP, count_macs, fixed

UNITS = {"_c": "°C", "_ms": "ms", "_s": "s", "_mhz": "MHz", "_mib": "MiB", "_bytes": "B"}
_DEEPEST = 4


@dataclass(frozen=True)
class Guard:
    """The accuracy guard of one deployment, as text."""

    deployment: str
    data: str
    samples: str
    float_accuracy: str
    compiled_accuracy: str
    drop: str
    max_drop: str


def guards(bench: Bench) -> list[Guard]:
    """Guard results that the bundle carries; empty where it carries none."""
    stated = bench.bundle.get("guards")
    if not isinstance(stated, dict):
        return []
    return [_guard(str(name), facts) for name, facts in stated.items() if isinstance(facts, dict)]


def _guard(name: str, facts: dict[str, Any]) -> Guard:
    return Guard(
        deployment=name,
        data=_text(facts.get("data")),
        samples=fixed(_number(facts.get("samples")), 0),
        float_accuracy=fixed(_times_100(facts.get("float_accuracy")), 2),
        compiled_accuracy=fixed(_times_100(facts.get("compiled_accuracy")), 2),
        drop=fixed(_number(facts.get("drop_points")), 2),
        max_drop=fixed(_number(facts.get("max_drop_points")), 2),
    )


def largest_drop(bench: Bench) -> float | None:
    """In points, over all deployments."""
    stated = bench.bundle.get("guards")
    values = stated.values() if isinstance(stated, dict) else ()
    drops = [_number(facts.get("drop_points")) for facts in values if isinstance(facts, dict)]
    return max((drop for drop in drops if drop is not None), default=None)


def bundle_facts(bench: Bench) -> list[tuple[str, str]]:
    """The bundle without guards and halves, which have tables of their own."""
    return _named({key: value for key, value in bench.bundle.items() if key not in ("guards", "halves")})


def halves(bench: Bench) -> list[tuple[str, str, str, str, str]]:
    """Name, side, backend, precision and MACs of each compiled half."""
    stated = bench.bundle.get("halves")
    if not isinstance(stated, dict):
        return []
    return [
        (
            str(name), _text(facts.get("side")), _text(facts.get("backend")), _text(facts.get("precision")),
            count_macs(_number(facts.get("macs"))),
        )
        for name, facts in stated.items()
        if isinstance(facts, dict)
    ]  # fmt: skip


def settings(bench: Bench) -> list[tuple[str, str]]:
    return _named(bench.settings)


def environment(bench: Bench) -> list[tuple[str, str]]:
    return _named(bench.environment)


def conditions(bench: Bench) -> list[tuple[str, str, str]]:
    """The machine's state before and after: name, and both as text."""
    if bench.conditions is None:
        return []
    before, after = (dict(_named(_condition(one))) for one in (bench.conditions.before, bench.conditions.after))
    names = dict.fromkeys([*before, *after])
    lines = [(name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in names]
    return [line for line in lines if line[1:] != (ABSENT, ABSENT)]


def _condition(found: Conditions) -> dict[str, Any]:
    """An empty list means that nothing throttles only where something here can tell."""
    nothing = {"throttling": "none"} if found.throttle_sensor and not found.throttling else {}
    return {**found.model_dump(), **nothing}


def compared(benches: Sequence[Bench], of: str) -> list[tuple[str, list[str], bool]]:
    """Name, the text of each benchmark, and whether they differ. ``of``: ``environment``, ``settings``, ``bundle``."""
    named = {"environment": environment, "settings": settings, "bundle": bundle_facts}[of]
    each = [dict(named(bench)) for bench in benches]
    names = dict.fromkeys(name for one in each for name in one)
    lines = [(name, [one.get(name, ABSENT) for one in each]) for name in names]
    return [(name, texts, len(set(texts)) > 1) for name, texts in lines]


def _named(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return list(_flat(facts, "", 0))


def _flat(facts: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, value in facts.items():
        if isinstance(value, dict) and value and depth < _DEEPEST:
            yield from _flat(value, f"{prefix}{key} › ", depth + 1)
            continue
        suffix = next((end for end in UNITS if key.endswith(end)), "")
        name = key.removesuffix(suffix).replace("_", " ")
        text = _text(value)
        yield f"{prefix}{name}", f"{text}{NBSP}{UNITS[suffix]}" if suffix and text != ABSENT else text


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if is_number else None


def _times_100(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else number * 100
