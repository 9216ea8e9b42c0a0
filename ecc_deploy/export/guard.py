"""The joint accuracy guard: what compiling the halves together cost, on samples that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecc_deploy.bundle import GuardResult
from ecc_deploy.errors import ExportRejectedError
from ecc_deploy.evaluation.criteria import accuracy


def judge(
    floats: Mapping[str, np.ndarray],
    compiled: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    data: str,
    max_drop_points: float,
) -> dict[str, GuardResult]:
    """Compare the final answers (logits ``[N, classes]``) of each deployment, float and as compiled.

    Raises :class:`ExportRejectedError` where one drops by more than ``max_drop_points`` percentage points.
    """
    results = {}
    for name, reference in floats.items():
        before, after = accuracy(reference, labels), accuracy(compiled[name], labels)
        results[name] = GuardResult(
            data=data,
            samples=len(labels),
            float_accuracy=before,
            compiled_accuracy=after,
            drop_points=round(100 * (before - after), 6),
            max_drop_points=max_drop_points,
        )
    failed = [name for name, result in results.items() if result.drop_points > max_drop_points]
    if failed:
        figures = "\n".join(
            f"  {name}: {100 * result.float_accuracy:.2f} % float, {100 * result.compiled_accuracy:.2f} % compiled, "
            f"drop {result.drop_points:.2f} points"
            for name, result in results.items()
        )
        raise ExportRejectedError(
            f"the compiled system loses more than {max_drop_points:g} points on {data} ({len(labels)} samples):\n"
            f"{figures}",
            f"Over the limit: {', '.join(failed)}. Try another calibration (--calibration percentile), "
            "--cloud-precision fp32, --precision fp32, more adapter bits, or allow it with --max-drop.",
        )
    return results
