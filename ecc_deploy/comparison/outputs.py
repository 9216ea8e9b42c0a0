"""What halves give on the samples, each distinct half run once, whichever bundles it is in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle
from ecc_deploy.comparison.bundles import content
from ecc_deploy.comparison.result import AnsweredBy
from ecc_deploy.errors import BackendMissingError, DeviceError
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.preprocess import Preprocess

BOUNDARY = "boundary"


@dataclass(frozen=True)
class Given:
    """What a half is run on: uint8 images ``[N, H, W, C]``, or codes ``[N, *boundary]``."""

    array: np.ndarray
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        found = hashlib.sha256(np.ascontiguousarray(self.array).tobytes()).hexdigest()
        object.__setattr__(self, "digest", found)


@dataclass(frozen=True)
class Ran:
    """The outputs of one half, ``[N, *shape]`` by name; ``None`` where nothing here runs it."""

    outputs: dict[str, np.ndarray] | None
    by: AnsweredBy
    why_not: str = ""
    """Why not its own runtime."""


class Outputs:
    """Remembers what halves answered; what they encoded only until :meth:`forget`, because it may be large."""

    def __init__(self, threads: int) -> None:
        """``threads``: CPU threads of one inference."""
        self._threads = threads
        self._answers: dict[tuple[str, str], Ran] = {}
        self._encoded: dict[tuple[str, str], Ran] = {}

    def of(self, bundle: Bundle, key: str, given: Given) -> Ran:
        """Of the half ``key`` on ``given``."""
        place = content(bundle, key), given.digest
        found = self._answers.get(place) or self._encoded.get(place)
        if found is None:
            found = self._run(bundle, key, given.array)
            (self._encoded if BOUNDARY in (found.outputs or {}) else self._answers)[place] = found
        return found

    def forget(self) -> None:
        """A bundle is done: what its edge halves encoded is of no more use."""
        self._encoded.clear()

    def _run(self, bundle: Bundle, key: str, array: np.ndarray) -> Ran:
        half = bundle.manifest.halves[key]
        path = bundle.file(half.file)
        runner, by, why_not = opened(lambda stand_in: open_runner(path, half, self._threads, stand_in=stand_in))
        if runner is None:
            return Ran(None, by, why_not)
        with runner:
            name = half.inputs[0].name
            if name == "image":
                return Ran(run_all(runner, name, array, Preprocess(bundle.manifest.input, half)), by, why_not)
            return Ran(run_all(runner, name, array), by, why_not)


def opened(how: Callable[[bool], Runner]) -> tuple[Runner | None, AnsweredBy, str]:
    """The half's own runtime, else its stand-in, else nothing; ``how``: opens it, with a stand-in or without."""
    try:
        return how(False), "runtime", ""
    except (BackendMissingError, DeviceError) as error:
        why_not = error.message
    try:
        return how(True), "stand-in", why_not
    except (BackendMissingError, DeviceError):
        return None, "nobody", why_not
