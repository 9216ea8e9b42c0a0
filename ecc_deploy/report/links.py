"""A benchmark by link: what was measured over each of them, as a benchmark of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_setting import LinkFacts
from ecc_deploy.report.formats import ABSENT, NBSP, signed, significant

AS_IT_IS = "the network as it is"
NEAR = 0.05
"""A check of a link that is further off than this is a caution."""


@dataclass(frozen=True)
class OverLink:
    """The part of a benchmark that was measured over one link."""

    link: LinkFacts | None
    """``None``: over the network as it is."""
    bench: Bench
    """With the arms and scenarios of this link alone, and with what needs no link."""

    @property
    def name(self) -> str | None:
        return None if self.link is None else self.link.name

    @property
    def title(self) -> str:
        return AS_IT_IS if self.link is None else self.link.name


def by_link(bench: Bench) -> list[OverLink]:
    """One part per link that an arm names, the network as it is first, then by growing round trip and falling rate.

    An arm without a link that sends nothing (edge-only) belongs to every link, unless it was measured there too.
    """
    named = [link for link in bench.links if any(arm.link == link.name for arm in bench.arms)]
    without = [arm for arm in bench.arms if arm.link is None]
    parts: list[OverLink] = []
    if not named or any(_sends(arm) for arm in without):
        parts.append(OverLink(None, _part(bench, without, None)))
    for link in sorted(named, key=lambda link: (link.rtt_ms, -(link.up_mbit or float("inf")), link.name)):
        own = [arm for arm in bench.arms if arm.link == link.name]
        names = {arm.name for arm in own}
        shared = [arm for arm in without if not _sends(arm) and arm.name not in names]
        parts.append(OverLink(link, _part(bench, [*shared, *own], link)))
    return parts


def _sends(arm: Arm) -> bool:
    return arm.codec is not None


def _part(bench: Bench, arms: list[Arm], link: LinkFacts | None) -> Bench:
    name = None if link is None else link.name
    scenarios = [one for one in bench.scenarios if one.link == name]
    elsewhere = tuple(f"{arm.name} over {arm.link}:" for arm in bench.arms if arm.link not in (None, name))
    warnings = [warning for warning in bench.warnings if not warning.startswith(elsewhere)]
    update = {"arms": arms, "scenarios": scenarios, "links": [] if link is None else [link], "warnings": warnings}
    return bench.model_copy(update=update)


def described(link: LinkFacts) -> str:
    """Its rates and its round trip: ``12 / 40 Mbit/s up / down, 50 ms round trip``."""
    parts = [_rates(link), f"{neat(link.rtt_ms)}{NBSP}ms round trip"]
    if link.jitter_ms > 0:
        parts.append(f"jitter {neat(link.jitter_ms)}{NBSP}ms")
    if link.loss > 0:
        parts.append(f"{neat(link.loss * 100)}{NBSP}% lost each way")
    return ", ".join(parts)


def short(link: LinkFacts) -> str:
    """``12/40 Mbit/s · 50 ms``, for a control or an axis."""
    rate = _rate(link.up_mbit) if link.up_mbit == link.down_mbit else f"{_rate(link.up_mbit)}/{_rate(link.down_mbit)}"
    return f"{rate}{NBSP}Mbit/s · {neat(link.rtt_ms)}{NBSP}ms"


def _rates(link: LinkFacts) -> str:
    if link.up_mbit == link.down_mbit:
        return "no limit of rate" if link.up_mbit is None else f"{_rate(link.up_mbit)}{NBSP}Mbit/s"
    return f"{_rate(link.up_mbit)} / {_rate(link.down_mbit)}{NBSP}Mbit/s up / down"


def _rate(mbit: float | None) -> str:
    return "∞" if mbit is None else neat(mbit)


def neat(value: float) -> str:
    """Of what was wanted, not measured: ``50``, ``0.5``, ``12.5``."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


@dataclass(frozen=True)
class Checked:
    """One quantity of a link: what it was to be, and what the check found; as text."""

    name: str
    wanted: str
    measured: str
    deviation: str
    is_far: bool


def checks(link: LinkFacts) -> list[Checked]:
    """Rates and round trip, where the check of the link measured them."""
    lines = (
        ("rate up, Mbit/s", link.up_mbit, link.measured_up_mbit),
        ("rate down, Mbit/s", link.down_mbit, link.measured_down_mbit),
        ("round trip, ms", link.rtt_ms, link.measured_rtt_ms),
    )
    found = []
    for name, wanted, measured in lines:
        off = None if not wanted or measured is None else measured / wanted - 1
        found.append(
            Checked(
                name,
                "not limited" if wanted is None else neat(wanted),
                significant(measured),
                ABSENT if off is None else f"{signed(off * 100)}{NBSP}%",
                off is not None and abs(off) > NEAR,
            )
        )
    return found if any(line.measured != ABSENT for line in found) else []


def cautions(link: LinkFacts | None) -> Sequence[str]:
    """What a reader must know of the link before using figures that were measured over it."""
    if link is None:
        return []
    found = [f"The link {link.name} ({link.method}): {link.note}"] if link.note else []
    far = [line for line in checks(link) if line.is_far]
    found += [f"The link {link.name} is off its profile: {line.name} by {line.deviation}." for line in far]
    for way, ours, counted in (
        ("up", link.tcp_info_up_bytes, link.wire_up_bytes),
        ("down", link.tcp_info_down_bytes, link.wire_down_bytes),
    ):
        if ours and counted and abs(ours / counted - 1) > NEAR:
            found.append(
                f"Over {link.name} the link counted {counted:,} bytes {way} and TCP_INFO {ours:,}: something else "
                "used it, or one of them missed some."
            )
    return found
