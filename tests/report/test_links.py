"""A benchmark taken apart by link, and what the page and the terminal say of each."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.schema_series import Energy
from ecc_deploy.report import floors, overview, series
from ecc_deploy.report.formats import significant
from ecc_deploy.report.html import render
from ecc_deploy.report.links import by_link, cautions, checks, described, short
from ecc_deploy.report.tables import comparison_table
from tests.report.fake_bench import fake_bench
from tests.report.fake_links import LINKS, LTE, WEAK, WIFI, fake_links_bench
from tests.report.page import Page


@pytest.fixture(scope="module")
def bench() -> Bench:
    return fake_links_bench(120)


@pytest.fixture(scope="module")
def page(bench: Bench) -> Page:
    return Page(render([bench]))


def figures(page: Page) -> dict:
    return json.loads(page.inline["script"][0])


def test_every_link_has_its_arms_and_what_needs_no_link(bench: Bench) -> None:
    parts = by_link(bench)
    assert [part.name for part in parts] == ["wifi", "lte", "3g"]  # by round trip, not as in the file
    for part in parts:
        assert {arm.name for arm in part.bench.arms} == {arm.name for arm in bench.arms}
        assert {arm.link for arm in part.bench.arms if arm.codec} == {part.name}
        assert {one.link for one in part.bench.scenarios} == {part.name}
    assert sum(arm.architecture == "edge-only" for arm in bench.arms) == 1


def test_a_warning_of_one_link_is_no_caution_of_another(bench: Bench) -> None:
    said = ["dynamic over lte: the edge answered 3 of 120 samples", "the machine was busy"]
    parts = by_link(bench.model_copy(update={"warnings": said}))
    assert [part.bench.warnings for part in parts] == [said[1:], said, said[1:]]


def test_a_benchmark_without_links_is_one_part(bench: Bench) -> None:
    plain = fake_bench(20)
    (part,) = by_link(plain)
    assert (part.link, part.bench) == (None, plain)
    beside = bench.model_copy(update={"arms": [*plain.arms, *bench.arms[1:]]})
    assert [part.name for part in by_link(beside)] == [None, "wifi", "lte", "3g"]
    assert len(by_link(beside)[0].bench.arms) == len(plain.arms)


def test_links_in_words() -> None:
    assert short(LTE).replace("\u00a0", " ") == "12/40 Mbit/s · 50 ms"
    assert described(LTE).replace("\u00a0", " ") == (
        "12 / 40 Mbit/s up / down, 50 ms round trip, jitter 5 ms, 0.1 % lost each way"
    )
    assert described(WIFI).startswith("60\u00a0Mbit/s, 4\u00a0ms")
    assert "no limit" in described(LTE.model_copy(update={"up_mbit": None, "down_mbit": None}))


def test_a_link_that_is_off_is_a_caution() -> None:
    assert [line.is_far for line in checks(WIFI)] == [False] * 3
    assert checks(WEAK) == []  # nothing was measured
    far = LTE.model_copy(update={"measured_rtt_ms": 60.0, "tcp_info_up_bytes": 50, "wire_up_bytes": 100})
    assert [line.deviation for line in checks(far)][-1] == "+20.0\u00a0%"
    said = " ".join(cautions(far))
    assert "round trip, ms by +20.0" in said
    assert "100 bytes up and TCP_INFO 50" in said
    assert list(cautions(WEAK)) == ["The link 3g (proxy): no TCP dynamics"]
    assert list(cautions(None)) == []


def test_the_sentence_of_a_link_holds_its_figures(bench: Bench) -> None:
    for part in by_link(bench):
        said = overview.sentence(part).replace("\u00a0", " ")
        arm = part.bench.arm("dynamic")
        assert said.startswith(
            f"On {part.name}, ECC-D · int4+zstd answers in {arm.latency_ms.p50:.3f} ms (median; 95 %"
        )
        assert f"{arm.accuracy * 100:.1f} % right" in said
        assert arm.latency_offloaded_ms
        assert f"{significant(arm.latency_offloaded_ms.p50)} ms for the 30 % that it sends" in said
        assert "; Cloud-only · " in said
        assert "; Edge-only takes" in said


def test_a_difference_within_the_intervals_is_called_none(bench: Bench) -> None:
    part = by_link(bench)[1]
    lead, rival = part.bench.arm("dynamic"), part.bench.arm("edge-only")
    same = rival.model_copy(update={"latency_ms": lead.latency_ms})
    arms = [same if arm is rival else arm for arm in part.bench.arms]
    close = by_link(part.bench.model_copy(update={"arms": arms, "links": [LTE]}))[0]
    assert "which is no clear difference in time" in overview.sentence(close)


def test_the_floor_lies_beside_what_was_measured(bench: Bench) -> None:
    part = by_link(bench)[1]
    figure = floors.sent_breakdown(part.bench)
    assert figure
    bars = [trace for trace in figure["data"] if trace["type"] == "bar"]
    sending = [arm for arm in part.bench.arms if arm.floor]
    assert len(sending) == len(part.bench.arms) - 1
    for place, arm in enumerate(sending):
        assert arm.floor
        parts = [t["x"][place] for t in bars if t["name"].startswith("floor")]
        assert sum(parts) == pytest.approx(arm.floor.total_ms)
        measured = [t["x"][place] for t in bars if not t["name"].startswith("floor")]
        sent = [ms for ms, route in zip(arm.raw.stages_ms["total"], arm.raw.route, strict=True) if route == "cloud"]
        assert sum(measured) == pytest.approx(sum(sent) / len(sent))
    median = next(trace for trace in figure["data"] if trace["name"].startswith("measured median"))
    assert all(value is not None for value in median["error_x"]["array"])


def test_without_a_floor_only_what_was_measured_is_drawn() -> None:
    figure = floors.sent_breakdown(fake_bench(40))
    assert figure
    assert not [trace for trace in figure["data"] if trace.get("name", "").startswith("floor")]
    assert floors.predicted(by_link(fake_bench(40))) is None
    assert floors.sent_breakdown(fake_bench(40, arms=lambda maker: [maker.edge_only()])) is None


def test_prediction_and_measurement_of_every_arm_on_every_link(bench: Bench) -> None:
    figure = floors.predicted(by_link(bench))
    assert figure
    shown = [(x, y) for t in figure["data"] if t["mode"] == "markers" for x, y in zip(t["x"], t["y"], strict=True)]
    wanted = [(a.floor.total_ms, 1 + a.floor.overhead_ratio) for a in bench.arms if a.floor]
    assert np.allclose(sorted(shown), sorted(wanted), rtol=1e-9)
    assert {label["text"] for label in figure["labels"]} == {"wifi", "lte", "3g"}


def test_latency_by_link_has_intervals_and_the_same_colours_everywhere(bench: Bench) -> None:
    figure = overview.latency_by_link(by_link(bench), "p95")
    assert figure
    assert [text.partition("<br>")[0] for text in figure["layout"]["yaxis"]["ticktext"]] == ["wifi", "lte", "3g"]
    dynamic = next(trace for trace in figure["data"] if trace["name"] == "ECC-D")
    assert dynamic["x"] == [part.bench.arm("dynamic").latency_ms.p95 for part in by_link(bench)]
    assert all(value >= 0 for value in dynamic["error_x"]["array"])
    assert dynamic["marker"]["color"] == "#d55e00"
    assert overview.latency_by_link(by_link(fake_bench(20)), "p50") is None


def test_cold_idle_scenarios_and_energy(bench: Bench) -> None:
    part = by_link(bench)[1].bench
    cold = series.cold(part)
    assert cold
    connection = next(trace for trace in cold["data"] if trace["name"] == "connection")
    assert connection["x"][0] == 0  # edge-only connects to nothing
    assert connection["x"][1] == pytest.approx(102.5)
    idle = series.idle(part)
    assert idle
    assert idle["layout"]["xaxis"]["ticktext"] == ["0.1", "1", "10", "30"]
    assert [run.verdict for run in series.runs(part)] == ["valid", "not valid", "valid"]
    assert series.power(part).why_not == ["no sensor: this machine is virtual"]
    measured = Energy(sensor="a rail", samples=50, seconds=5, joules_per_sample=0.0123, mean_watts=3.2, idle_watts=2.1)
    arms = [arm.model_copy(update={"energy": measured}) for arm in part.arms]
    lines = series.power(part.model_copy(update={"arms": arms})).lines
    assert lines[0][1] == ["12.3", "3.20", "2.10", "50", "a rail"]
    assert series.power(fake_bench(5)).why_not == ["this benchmark did not ask for it"]


def test_the_page_has_a_view_and_a_choice_for_every_link(page: Page) -> None:
    chosen = [a for tag, a in page.tags if tag == "input"]
    assert [(a["name"], a["value"]) for a in chosen] == [("link", "all"), *(("link", str(n)) for n in range(3))]
    views = [a["data-link"] for tag, a in page.tags if tag == "section" and a.get("class") == "view link"]
    assert views == ["0", "1", "2"]
    assert len(page.roles["headline"]) == 3
    drawn = figures(page)
    ids = [attributes["data-figure"] for _, attributes in page.tags if "data-figure" in attributes]
    assert sorted(ids) == sorted(drawn)
    for text in ("Not measured: no sensor", "not valid", "The latency bound was exceeded", "soft temperature limit"):
        assert text in page.text
    assert "no TCP dynamics" in page.text


def test_devices_and_links_can_both_be_chosen(bench: Bench) -> None:
    other = fake_links_bench(60, 5, links=[LTE], cpu="Cortex-A76")
    page = Page(render([bench, other]))
    chosen = [a for tag, a in page.tags if tag == "input"]
    assert [a["value"] for a in chosen if a["name"] == "device"] == ["all", "0", "1"]
    has = {a["value"]: a["data-devices"].split() for a in chosen if a["name"] == "link"}
    assert has == {"all": ["all", "0"], "0": ["all", "0"], "1": ["all", "0", "1"], "2": ["all", "0"]}
    together = [key for key in figures(page) if key.startswith("all-")]
    assert together == [f"all-l1-{name}" for name in ("bytes", "macs", "latency", "p95")]
    assert "B · Cortex-A76" in page.text


def test_the_page_is_small(bench: Bench) -> None:
    assert len(render([fake_bench(400)])) < 300_000
    assert len(render([fake_links_bench(400, links=[*LINKS])])) < 800_000


def test_hostile_links_stay_texts() -> None:
    name = "</script><img src=x onerror=alert(2)><b>"
    link = LTE.model_copy(update={"name": name, "title": name, "method": name, "note": name, "source": name})
    page = Page(render([fake_links_bench(20, links=[link, WIFI])]))
    assert not any(tag == "img" or "onerror" in attributes for tag, attributes in page.tags)
    for figure in figures(page).values():
        texts = json.dumps(figure)
        assert "<img" not in texts
        assert set(re.findall(r"<[^>]*>", texts)) <= {"<b>", "</b>", "<br>"}


@pytest.mark.parametrize("width", [80, 120, 400])
def test_the_terminal_names_links_floors_and_intervals(bench: Bench, width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(comparison_table(bench, width))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    for link in ("wifi", "lte", "3g"):
        assert sum(line.split()[:1] == [link] for line in lines) == 1
    assert sum("ECC-D" in line for line in lines) == 3
    assert ("floor" in out.getvalue()) is (width > 80)
    if width == 400:
        arm = bench.arm("dynamic", "lte")
        assert arm.floor
        row = [line for line in lines if "ECC-D" in line][1]
        assert f"{arm.floor.overhead_ratio * 100:+.1f}" in row.split()
        assert "95 % interval" in lines[1].split("p50")[1]
