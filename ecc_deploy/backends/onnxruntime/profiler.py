"""What each operator of an ONNX file takes, by ONNX Runtime's own profiler."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ecc_deploy.bundle.manifest import Half

_KERNEL = "_kernel_time"


def profile_operators(
    path: Path, half: Half, threads: int, inputs: Mapping[str, np.ndarray], runs: int
) -> dict[str, float]:
    """See :class:`~ecc_deploy.backends.profiling.Profiler`. What was fused has the name of its last tensor."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = dict(inputs)
        for _ in range(runs):
            session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    taken: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            taken[event["name"].removesuffix(_KERNEL)].append(event["dur"] / 1e6)
    # The first runs pay for memory; an operator that a run has several times would be listed under one name.
    return {name: statistics.median(times[len(times) // 10 :]) * len(times) / runs for name, times in taken.items()}
