"""What a backend's ``profiler.py`` is: it says what each operator of a compiled file takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from ecc_deploy.bundle.manifest import Half


class Profiler(Protocol):
    """A backend's module ``profiler``."""

    def profile_operators(
        self, path: Path, half: Half, threads: int, inputs: Mapping[str, np.ndarray], runs: int
    ) -> dict[str, float]:
        """Seconds of each operator in one run, by its name in the file or that of its last tensor; medians of ``runs``.

        As the runtime's own profiler says it, which makes each of them a little slower.
        """
        ...
