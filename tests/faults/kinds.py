"""The faults: what is done, for how long, and how it is undone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.faults import relay, spoilt_server
from tests.faults.children import Place

_HOLD_S = 0.5


@dataclass(frozen=True)
class Kind:
    """One kind of fault. ``needs_server``: to be injected or undone, the server must be there to be told."""

    name: str
    inject: Callable[[Place], None]
    undo: Callable[[Place], None]
    hold_s: float = _HOLD_S
    needs_server: bool = False

    def happen(self, place: Place) -> None:
        """Inject it, hold it, undo it."""
        self.inject(place)
        time.sleep(self.hold_s)
        self.undo(place)


def _state(word: str) -> Kind:
    return Kind(f"link: {word}", lambda place: _tell_relay(place, word), lambda place: _tell_relay(place, "pass"))


def _way(word: str) -> Kind:
    def tell(place: Place, word: str) -> None:
        place.server.tell(word)

    return Kind(
        f"answers: {word}", lambda place: tell(place, word), lambda place: tell(place, "whole"), needs_server=True
    )


def _tell_relay(place: Place, word: str) -> None:
    place.relay.tell(word)


KILLED = Kind("server: killed", Place.kill_server, Place.start_server, hold_s=0.2, needs_server=True)
FROZEN = Kind(
    "server: frozen", lambda place: place.server.freeze(), lambda place: place.server.thaw(), needs_server=True
)
FORGOTTEN = Kind(
    "link: forget", lambda place: _tell_relay(place, relay.FORGET), lambda place: _tell_relay(place, "pass")
)
LINK = [FORGOTTEN, *(_state(word) for word in relay.STATES if word not in ("pass", "flip"))]
ANSWERS = [_way(word) for word in spoilt_server.WAYS if word != "whole"]
KINDS = [KILLED, FROZEN, *LINK, *ANSWERS]
_WHILE_IT_STARTS = 2


def round_of(rng: np.random.Generator) -> list[Kind]:
    """Every kind once, in a random order. What follows a kill is of the link: the server takes a while to start."""
    link = [LINK[i] for i in rng.permutation(len(LINK))]
    rest = [FROZEN, *ANSWERS, *link[_WHILE_IT_STARTS:]]
    order = [rest[i] for i in rng.permutation(len(rest))]
    at = int(rng.integers(len(order) + 1))
    return [*order[:at], KILLED, *link[:_WHILE_IT_STARTS], *order[at:]]
