import numpy as np
import pytest

from ecc_deploy.errors import ExportRejectedError
from ecc_deploy.export.guard import judge

LABELS = np.array([0, 1, 0, 1])


def answers(*classes: int) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[list(classes)]


def test_drop_is_in_points_and_a_gain_is_negative() -> None:
    floats = {"dynamic": answers(0, 1, 0, 0), "adaptive": answers(0, 1, 1, 0)}
    compiled = {"dynamic": answers(0, 1, 0, 0), "adaptive": answers(0, 1, 0, 0)}
    results = judge(floats, compiled, LABELS, data="val", max_drop_points=0)
    assert results["dynamic"].drop_points == 0
    assert results["adaptive"].drop_points == -25
    assert results["adaptive"].compiled_accuracy == 0.75


def test_the_worst_deployment_decides() -> None:
    floats = {"dynamic": answers(0, 1, 0, 1), "adaptive": answers(0, 1, 0, 1)}
    compiled = {"dynamic": answers(0, 1, 0, 1), "adaptive": answers(1, 1, 0, 1)}
    assert judge(floats, compiled, LABELS, data="val", max_drop_points=25)["adaptive"].drop_points == 25
    with pytest.raises(ExportRejectedError, match=r"adaptive: 100.00 % float, 75.00 % compiled, drop 25.00") as caught:
        judge(floats, compiled, LABELS, data="val", max_drop_points=24.9)
    assert "Over the limit: adaptive." in caught.value.hint
