"""The ways from here to a server: the network as it is, and any number of emulated links, all open at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.opener import Opener
from ecc_deploy.bench.schema_setting import LinkFacts
from ecc_deploy.bench.wirebytes import WireBytes
from ecc_deploy.errors import UsageError
from ecc_deploy.progress import Progress

if TYPE_CHECKING:
    from ecc_deploy.links import Link, LinkProfile

AS_IS = "as-is"
"""In a list of links: the network as it is."""
LinkMethod = Literal["auto", "netem", "tun", "proxy"]


def link_method(name: str) -> LinkMethod:
    """``name``, if it is a method. Raises :class:`UsageError`."""
    for known in get_args(LinkMethod):
        if name == known:
            return known
    raise UsageError(f"there is no method {name!r} of emulating a link", f"Known: {', '.join(get_args(LinkMethod))}.")


@dataclass
class Lane:
    """One way to a server. ``link`` is ``None`` for the network as it is."""

    opener: Opener
    link: Link | None = None
    before: WireBytes | None = None
    """What the link had counted when measuring began."""


def profiles(links: Sequence[str | LinkProfile]) -> list[LinkProfile | None]:
    """The links that were asked for, ``None`` for :data:`AS_IS`; the network as it is where none was.

    Raises :class:`LinkError` for one that is not known, :class:`UsageError` for two of the same name.
    """
    found: list[LinkProfile | None] = []
    for link in links:
        if link == AS_IS:
            found.append(None)
            continue
        from ecc_deploy.links import load_link

        found.append(load_link(link) if isinstance(link, str) else link)
    names = [AS_IS if profile is None else profile.name for profile in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"the link {twice!r} was given twice", "Give each link once, or rename your own.")
    return found or [None]


def open_lanes(
    wanted: Sequence[LinkProfile | None],
    method: LinkMethod,
    cloud: str | None,
    make: Callable[[Link | None], Opener],
    stack: ExitStack,
    progress: Progress,
) -> list[Lane]:
    """Open every link, checked, and an opener of arms for each; the network as it is comes first, asked for or not,
    since arms that send nothing belong to no link.

    ``method``: see :func:`ecc_deploy.links.open_link`; with a running server at ``cloud``, "auto" is the only one that
    can lead there. Raises :class:`LinkError` where a link cannot be emulated here or is not what it is to be.
    """
    lanes = [Lane(stack.enter_context(make(None)))]
    emulated = [profile for profile in wanted if profile is not None]
    for done, profile in enumerate(emulated):
        from ecc_deploy.links import open_link

        progress("Links", done, len(emulated), f"checking {profile.name}")
        link = open_link(profile, method="proxy" if method == "auto" and cloud is not None else method)
        stack.enter_context(link)
        lanes.append(Lane(stack.enter_context(make(link)), link))
        progress("Links", done + 1, len(emulated), profile.name)
    return lanes


def open_arms(lanes: Sequence[Lane], specs: Sequence[ArmSpec], is_as_is: bool) -> list[OpenArm]:
    """Every arm over every link; one that sends nothing once. ``is_as_is``: over the network as it is too."""
    direct = lanes[0].opener
    opened = [direct.open(spec) for spec in specs if is_as_is or not spec.needs_cloud]
    for lane in lanes[1:]:
        opened += [lane.opener.open(spec) for spec in specs if spec.needs_cloud]
    return opened


def start_counting(lanes: Sequence[Lane], arms: Sequence[OpenArm]) -> None:
    """Count wire bytes from here, on connections and links."""
    for arm in arms:
        if arm.wire is not None:
            arm.wire.start()
    for lane in lanes:
        if lane.link is not None:
            lane.before = lane.link.counts()


def link_facts(lanes: Sequence[Lane], arms: Sequence[OpenArm]) -> list[LinkFacts]:
    """What each emulated link was to be, was when checked, and has counted since :func:`start_counting`."""
    return [_facts(lane.link, lane.before, arms) for lane in lanes if lane.link is not None]


def _facts(link: Link, before: WireBytes | None, arms: Sequence[OpenArm]) -> LinkFacts:
    profile, check = link.profile, link.check
    now = link.counts()
    counted = None if now is None or before is None else WireBytes(now.up - before.up, now.down - before.down)
    totals = [arm.wire_bytes() for arm in arms if arm.link == profile.name]
    known = [total for total in totals if total is not None]
    by_tcp_info = known if known and len(known) == len(totals) else None
    return LinkFacts(
        name=profile.name,
        title=profile.title,
        method=link.method,
        note=link.note,
        up_mbit=profile.up_mbit,
        down_mbit=profile.down_mbit,
        rtt_ms=profile.rtt_ms,
        jitter_ms=profile.jitter_ms,
        loss=profile.loss,
        queue_ms=profile.queue_ms,
        source=profile.source,
        measured_up_mbit=None if check is None else check.up_mbit,
        measured_down_mbit=None if check is None else check.down_mbit,
        measured_rtt_ms=None if check is None else check.rtt_ms,
        deviations={} if check is None else check.off,
        wire_up_bytes=None if counted is None else counted.up,
        wire_down_bytes=None if counted is None else counted.down,
        tcp_info_up_bytes=None if by_tcp_info is None else sum(total.up for total in by_tcp_info),
        tcp_info_down_bytes=None if by_tcp_info is None else sum(total.down for total in by_tcp_info),
    )
