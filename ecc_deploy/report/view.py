"""What the page shows, as plain data for the template: views by device (a benchmark) and link; one is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report import facts, floors, links, overview
from ecc_deploy.report.formats import ABSENT
from ecc_deploy.report.links import OverLink, by_link
from ecc_deploy.report.plots import plain
from ecc_deploy.report.rows import EQUAL_POINTS, rows
from ecc_deploy.report.section import Figures, device, scatters, section

ALL = "all"
"""The choice of all devices, or all links."""
_LONGEST = 24  # name of a device on an axis


def page(benches: Sequence[Bench]) -> dict[str, Any]:
    """The whole page; ``figures`` by the id of the element that they are drawn in."""
    figures = Figures()
    parts = [by_link(bench) for bench in benches]
    chosen = _links(parts)
    keys = {name: str(number) for number, (name, _) in enumerate(chosen)}
    many = len(benches) > 1
    names = _labels(benches) if many else [""]
    devices = [
        _device(bench, number, parts[number], keys, figures, names[number]) for number, bench in enumerate(benches)
    ]
    return {
        "title": _title(benches),
        "devices": devices,
        "device_choices": _device_choices(devices) if many else [],
        "link_choices": _link_choices(chosen, parts, keys) if len(chosen) > 1 else [],
        "overlays": _overlays(parts, _in_figures(names), chosen, keys, figures) if many else [],
        "families": list(dict.fromkeys(row.family for bench in benches for row in _sorted(bench))),
        "environments": facts.compared(benches, "environment") if many else [],
        "settings_compared": facts.compared(benches, "settings") if many else [],
        "bundles_compared": facts.compared(benches, "bundle") if many else [],
        "equal_points": f"{EQUAL_POINTS:g}",
        "figures": figures,
        "absent": ABSENT,
    }


def _sorted(bench: Bench) -> list[Any]:
    return [row for part in by_link(bench) for row in rows(part.bench)]


def _title(benches: Sequence[Bench]) -> str:
    names = dict.fromkeys(_name(bench) for bench in benches)
    return ", ".join(names) if len(names) <= 3 else f"{len(benches)} benchmarks"


def _name(bench: Bench) -> str:
    return str(bench.bundle.get("name") or "unnamed bundle")


def _links(parts: Sequence[Sequence[OverLink]]) -> list[tuple[str | None, OverLink]]:
    """Every link of some benchmark once, by its name, in the order of :func:`by_link`."""
    found: dict[str | None, OverLink] = {}
    for own in parts:
        for part in own:
            found.setdefault(part.name, part)
    return sorted(found.items(), key=lambda item: item[1].link.rtt_ms if item[1].link else -1.0)


def _device(
    bench: Bench, number: int, parts: Sequence[OverLink], keys: dict[str | None, str], figures: Figures, label: str
) -> dict[str, Any]:
    """``label``: what tells the device from others; empty where there is one alone."""
    letter = chr(ord("A") + number % 26) if label else ""
    several = len(parts) > 1
    views = []
    for part in parts:
        key = keys[part.name]
        prefix = f"b{number}l{key}" if several else f"b{number}"
        views.append({**section(part, prefix, figures), "key": key, "title": part.title, "id": f"view-{number}-{key}"})
    return {
        "key": str(number),
        "letter": letter,
        "name": _name(bench),
        "label": label,
        "about": _about(bench),
        "views": views,
        "overview": _overview(number, parts, keys, figures) if several else None,
        **device(bench),
    }


def _overview(
    number: int, parts: Sequence[OverLink], keys: dict[str | None, str], figures: Figures
) -> dict[str, str | list[dict[str, str]] | None]:
    """One device over all links."""
    return {
        "sentences": [
            {
                "key": keys[part.name],
                "title": part.name or "as it is",
                "text": overview.sentence(part),
                "about": _link_about(part),
            }
            for part in parts
        ],
        "p50": figures.put(f"b{number}-links-p50", overview.latency_by_link(parts, "p50")),
        "p95": figures.put(f"b{number}-links-p95", overview.latency_by_link(parts, "p95")),
        "predicted": figures.put(f"b{number}-predicted", floors.predicted(parts)),
    }


def _link_about(part: OverLink) -> str:
    if part.link is None:
        return ""
    note = f": {part.link.note}" if part.link.note else ""
    return f"{links.described(part.link)} · made by {part.link.method}{note}"


def _labels(benches: Sequence[Bench]) -> list[str]:
    """What tells one device from another at a glance: machine, edge target, CPU or bundle, the first that differs."""
    kinds = [
        [bench.environment.get("machine") for bench in benches],
        [_edge_target(bench) for bench in benches],
        [bench.environment.get("cpu") for bench in benches],
        [_name(bench) for bench in benches],
    ]
    known = [texts for names in kinds if ABSENT not in (texts := [_stated(name) for name in names])]
    return next((names for names in known if len(set(names)) == len(names)), known[0])


def _in_figures(names: Sequence[str]) -> list[str]:
    short = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in names]
    return [f"{chr(ord('A') + number % 26)}<br>{plain(name)}" for number, name in enumerate(short)]


def _edge_target(bench: Bench) -> Any:
    targets = bench.bundle.get("targets")
    return targets.get("edge") if isinstance(targets, dict) else None


def _device_choices(devices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    choices = [{"key": ALL, "name": "Compare", "about": "all benchmarks together"}]
    return choices + [
        {"key": one["key"], "name": f"{one['letter']} · {one['label']}", "about": one["name"]} for one in devices
    ]


def _link_choices(
    chosen: Sequence[tuple[str | None, OverLink]], parts: Sequence[Sequence[OverLink]], keys: dict[str | None, str]
) -> list[dict[str, Any]]:
    """``devices``: the keys of the benchmarks that have the link."""
    every = [str(number) for number in range(len(parts))]
    found: list[dict[str, Any]] = [
        {"key": ALL, "name": "All links", "about": "", "devices": [ALL, *[n for n in every if len(parts[int(n)]) > 1]]}
    ]
    for name, part in chosen:
        having = [number for number in every if any(own.name == name for own in parts[int(number)])]
        about = links.short(part.link) if part.link else ""
        found.append({"key": keys[name], "name": part.name or "as it is", "about": about, "devices": [ALL, *having]})
    return found


def _overlays(
    parts: Sequence[Sequence[OverLink]],
    names: Sequence[str],
    chosen: Sequence[tuple[str | None, OverLink]],
    keys: dict[str | None, str],
    figures: Figures,
) -> list[dict[str, Any]]:
    """All benchmarks that have a link, laid over each other; one overlay per link. ``names``: of the devices."""
    made = []
    for name, first in chosen:
        having = [(names[n], part.bench) for n, own in enumerate(parts) for part in own if part.name == name]
        prefix = f"all-l{keys[name]}" if len(chosen) > 1 else ALL
        made.append({
            "key": keys[name],
            "title": first.title,
            "scatters": scatters([bench for _, bench in having], prefix, figures) if len(having) > 1 else [],
            "p95": figures.put(f"{prefix}-p95", overview.latency_by(having, "p95")),
        })  # fmt: skip
    return made


def _about(bench: Bench) -> list[tuple[str, str]]:
    found = [
        ("data", _stated(bench.bundle.get("dataset"))),
        ("samples per arm", f"{max(arm.samples for arm in bench.arms):,}"),
        ("link", ABSENT if bench.links else _stated(bench.settings.get("link"))),
        ("measured", bench.created),
        ("CPU", _stated(bench.environment.get("cpu"))),
    ]
    return [(name, text) for name, text in found if text != ABSENT]


def _stated(value: Any) -> str:
    return str(value) if value not in (None, "", "unknown") else ABSENT
