import numpy as np
import pytest

from ecc_deploy.bench.differences import ArmDifference, Difference, compare
from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_setting import LinkFacts
from tests.report.fake_bench import Maker, fake_bench


def _arms(maker: Maker) -> list[Arm]:
    return [maker.edge_only(), maker.dynamic(0.4), maker.adaptive()]


def _slower(bench: Bench, name: str, factor: float) -> Bench:
    changed = bench.model_copy(deep=True)
    raw = changed.arm(name).raw
    raw.stages_ms["total"] = [value * factor for value in raw.stages_ms["total"]]
    return changed


def _figure(arms: tuple[ArmDifference, ...], arm: str, figure: str) -> Difference:
    (own,) = [one for one in arms if one.arm == arm]
    (found,) = [one for one in own.figures if one.figure == figure]
    return found


@pytest.fixture(scope="module")
def before() -> Bench:
    return fake_bench(400, seed=1, arms=_arms)


def test_a_run_does_not_differ_from_itself(before: Bench) -> None:
    found = compare(before, before)
    assert {one.verdict for arm in found.arms for one in arm.figures} == {"not shown"}
    assert all(one.change == 0 for arm in found.arms for one in arm.figures)
    assert found.facts == found.only_before == found.only_after == ()


def test_what_got_slower_is_shown_with_an_interval_around_it(before: Bench) -> None:
    found = compare(before, _slower(before, "adaptive", 1.2))
    p50 = _figure(found.arms, "adaptive", "latency p50")
    median = float(np.median(before.arm("adaptive").raw.stages_ms["total"]))
    assert p50.before == pytest.approx(median)
    assert p50.change == pytest.approx(0.2 * median)
    assert 0 < p50.low < p50.change < p50.high
    assert p50.verdict == "higher"
    assert p50.ratio == pytest.approx(1.2)
    assert _figure(compare(_slower(before, "adaptive", 1.2), before).arms, "adaptive", "latency p50").verdict == "lower"
    assert _figure(found.arms, "edge-only", "latency p50").verdict == "not shown"


def test_offloaded_samples_have_figures_of_their_own_where_not_all_are(before: Bench) -> None:
    named = {arm.arm: {one.figure for one in arm.figures} for arm in compare(before, before).arms}
    assert "latency of offloaded p50" in named["dynamic"]
    assert "latency of offloaded p50" not in named["adaptive"]
    assert "payload" not in named["edge-only"]


def test_noise_is_rarely_called_a_difference() -> None:
    rng = np.random.default_rng(0)
    bench = fake_bench(300, arms=lambda maker: [maker.adaptive()])
    shown = 0
    for _ in range(30):
        other, one = bench.model_copy(deep=True), bench.model_copy(deep=True)
        for copy in (one, other):
            copy.arms[0].raw.stages_ms["total"] = rng.lognormal(1, 0.3, 300).tolist()
        shown += _figure(compare(one, other).arms, "adaptive", "latency p50").verdict != "not shown"
    assert shown <= 6  # 1 or 2 are expected


def test_accuracy_is_compared_sample_by_sample_where_they_are_the_same(before: Bench) -> None:
    after = before.model_copy(deep=True)
    raw = after.arm("adaptive").raw
    wrong = [i for i, (p, y) in enumerate(zip(raw.predicted, raw.label, strict=True)) if p == y][:9]
    for i in wrong:
        raw.predicted[i] = (raw.label[i] + 1) % 10
    paired = _figure(compare(before, after).arms, "adaptive", "accuracy")
    assert paired.change == pytest.approx(-100 * 9 / 400)
    assert paired.verdict == "lower"
    raw.sample.reverse()  # other samples, as far as can be told
    unpaired = _figure(compare(before, after).arms, "adaptive", "accuracy")
    assert unpaired.change == paired.change
    assert unpaired.high - unpaired.low > 1.5 * (paired.high - paired.low)


def test_arms_are_matched_by_link_too(before: Bench) -> None:
    link = LinkFacts(name="lte", method="tun", rtt_ms=50, up_mbit=10)
    over = [arm.model_copy(update={"link": "lte"}) for arm in before.arms[1:]]
    first = before.model_copy(update={"arms": [before.arms[0], *over], "links": [link]})
    slower = link.model_copy(update={"rtt_ms": 70.0, "note": "checked again", "measured_rtt_ms": 70.1})
    second = before.model_copy(update={"arms": [before.arms[0], over[0], before.arms[2]], "links": [slower]})
    found = compare(first, second)
    assert [(arm.arm, arm.link) for arm in found.arms] == [("edge-only", None), ("dynamic", "lte")]
    assert found.only_before == ("adaptive over lte",)
    assert found.only_after == ("adaptive",)
    assert [(fact.fact, fact.before, fact.after) for fact in found.facts] == [("links.lte.rtt_ms", 50.0, 70.0)]


def test_what_the_runs_were_made_on_is_compared(before: Bench) -> None:
    environment = {**before.environment, "cpu": "Cortex-A76", "load_average_start": 9.0}
    environment["versions"] = {**environment["versions"], "onnxruntime": "1.30.0"}
    settings = {**before.settings, "started": "later", "threads_edge": 4}
    after = before.model_copy(update={"environment": environment, "settings": settings})
    found = {fact.fact: (fact.before, fact.after) for fact in compare(before, after).facts}
    assert found == {
        "settings.threads_edge": (1, 4),
        "environment.cpu": (before.environment["cpu"], "Cortex-A76"),
        "environment.versions.onnxruntime": ("1.31.1", "1.30.0"),
    }
