"""What of a fault run is a failure, and the table that it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.children import Usage
    from tests.faults.run import Result

MIB = 1 << 20
MORE_RSS = 24 * MIB
"""Allocators keep what they had at the worst moment; a leak of 3 KB with each of 10,000 requests is above this."""
MORE_THREADS, MORE_FDS = 4, 2
"""gRPC's own pool grows and shrinks by itself. A thread or a socket left behind by each fault is far above this."""
MORE_SERVER_THREADS = 72
"""A server's pool grows to what it answered at once, up to 64 that wait and 8 to spare, and threads of a pool stay."""
MORE_SERVER_FDS = 6
"""What a fault has cut off stays open until the client gives it up, and a server may be killed before."""


def failures(result: Result) -> list[str]:
    """What must not be, in words; empty where all is well."""
    found = [f"a wrong answer, or none: {text}" for text in result.wrong[:10]]
    if len(result.wrong) > 10:
        found.append(f"{len(result.wrong) - 10} more wrong answers")
    if result.unanswered:
        found.append(f"{result.unanswered} of {result.requests} samples have no answer")
    if result.gone:
        found.append(f"the cloud did not answer again when all faults were over: {result.gone}")
    if not result.recoveries.total():
        found.append("no fault was ever followed by an answer of the cloud")
    if not any(route == "edge" and reason != "confident" for route, reason in result.answers):
        found.append("no sample ever fell back, so the faults did nothing")
    assert result.before is not None
    assert result.after is not None
    found += _grown("the client", result.before, result.after, MORE_THREADS, MORE_FDS)
    for first, last in result.servers:
        found += _grown("a server", first, last, MORE_SERVER_THREADS, MORE_SERVER_FDS)
    if result.closed[1] > result.closed[0]:
        found.append(f"{result.closed[1] - result.closed[0]} file descriptors outlive what was closed")
    return found


def _grown(who: str, before: Usage, after: Usage, more_threads: int, more_fds: int) -> list[str]:
    found = []
    if after.rss - before.rss > MORE_RSS:
        found.append(f"{who} grew from {before.rss / MIB:.1f} to {after.rss / MIB:.1f} MiB")
    if after.threads > before.threads + more_threads:
        found.append(f"{who} had {before.threads} threads and has {after.threads}")
    if after.fds > before.fds + more_fds:
        found.append(f"{who} had {before.fds} file descriptors and has {after.fds}")
    return found


def table(result: Result, deadline_ms: float) -> str:
    """The counts, for people."""
    faults = sum(result.faults.values())
    lines = [
        f"{result.requests} requests in {result.seconds:.0f} s, {faults} faults",
        "",
        "route  reason         answers",
    ]
    lines += [f"{route:6} {reason:12} {count:9}" for (route, reason), count in sorted(result.answers.items())]
    lines += [f"{'':6} {'wrong':12} {len(result.wrong):9}", f"{'':6} {'none':12} {result.unanswered:9}", ""]
    lines += ["fault                  times  recovered  at the latest after"]
    lines += [
        f"{name:22} {count:5} {result.recoveries[name]:10} {result.recovery_s.get(name, float('nan')):18.2f} s"
        for name, count in sorted(result.faults.items())
    ]
    lines += [
        "",
        f"slowest answer {result.worst_ms:.0f} ms, deadline {deadline_ms:.0f} ms; {result.late} over 100 ms after it",
        "",
        "                  RSS, MiB  threads  file descriptors",
    ]
    rows = [("client, before", result.before), ("client, halfway", result.halfway), ("client, after", result.after)]
    for number, life in enumerate(result.servers, 1):
        rows += [(f"server {number}, warm", life[0]), (f"server {number}, end", life[1])]
    lines += [f"{who:16} {at.rss / MIB:9.1f} {at.threads:8} {at.fds:9}" for who, at in rows if at is not None]
    return "\n".join(lines)
