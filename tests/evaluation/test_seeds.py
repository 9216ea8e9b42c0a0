import json
from dataclasses import replace

import numpy as np
import pytest

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.seeds import SEVERAL, over_seeds
from tests.evaluation.made_up import evaluation

SHIFTS = (0.0, 0.002, 0.007)


def test_means_and_standard_deviations() -> None:
    seeds = over_seeds([evaluation(shift=shift) for shift in SHIFTS])
    accuracies = [0.93 + shift for shift in SHIFTS]
    assert seeds.mean.row("dynamic").accuracy == pytest.approx(np.mean(accuracies))
    assert seeds.std["dynamic"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))
    assert seeds.std["edge-only"]["accuracy"] == 0
    assert seeds.mean.curve("dynamic").accuracy[3] == pytest.approx(0.936 + np.mean(SHIFTS))
    assert seeds.mean.curve("dynamic").wanted_rate == (0.0, 0.1, 0.5, 1.0)
    assert seeds.mean.recalls[0].area == pytest.approx(0.82)


def test_a_figure_that_one_run_does_not_have_has_no_mean() -> None:
    one, other = evaluation(), evaluation(shift=0.02)  # the other is better than any image codec
    assert one.row("dynamic").best_image == "webp:50"
    seeds = over_seeds([one, other])
    assert seeds.mean.row("dynamic").bytes_of_best_image is None
    assert seeds.std["dynamic"]["bytes_of_best_image"] is None
    assert seeds.mean.row("dynamic").best_image == SEVERAL


def test_json_holds_means_deviations_and_every_run() -> None:
    facts = json.loads(json.dumps(over_seeds([evaluation(shift=shift) for shift in SHIFTS]).to_json()))
    (row,) = [row for row in facts["rows"] if row["name"] == "dynamic"]
    assert facts["seeds"] == 3
    assert row["accuracy_std"] > 0
    assert [run["rows"][-1]["accuracy"] for run in facts["runs"]] == pytest.approx([0.93 + shift for shift in SHIFTS])


def test_runs_that_are_not_of_one_recipe() -> None:
    with pytest.raises(UsageError, match="they differ in system"):
        over_seeds([evaluation(), evaluation(system="another")])
    with pytest.raises(UsageError, match="they differ in part, offload_rate"):
        over_seeds([evaluation(), replace(evaluation(), part="val", offload_rate=0.2)])
    one = evaluation()
    larger = replace(one, rows=(replace(one.rows[0], edge_macs=1e9), *one.rows[1:]))
    with pytest.raises(UsageError, match="what they are built of"):
        over_seeds([one, larger])
