import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.errors import BackendMissingError, UsageError
from ecc_deploy.report import html
from ecc_deploy.report.html import render, write_report
from ecc_deploy.report.rows import rows
from tests.report.fake_bench import Maker, every_arm, fake_bench
from tests.report.page import Page

HOSTILE = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>'\"&{{7*7}}\ud800"


@pytest.fixture(scope="module")
def bench() -> Bench:
    return fake_bench()


@pytest.fixture(scope="module")
def page(bench: Bench) -> Page:
    return Page(render([bench]))


def figures(page: Page) -> dict:
    return json.loads(page.inline["script"][0])


def test_the_table_holds_the_figures_of_the_bench(bench: Bench, page: Page) -> None:
    edge, cloud = bench.arm("edge-only"), bench.arm("cloud-only/raw")
    for arm in bench.arms:
        assert page.cell(arm.name, "accuracy")["text"] == f"{arm.accuracy * 100:.1f}"
        gap = (arm.accuracy - edge.accuracy) / (cloud.accuracy - edge.accuracy)
        assert float(page.cell(arm.name, "gap_recovered")["value"]) == pytest.approx(gap * 100)
        assert float(page.cell(arm.name, "of_cloud")["value"]) == pytest.approx(100 * arm.accuracy / cloud.accuracy)
        assert page.cell(arm.name, "offload_rate")["text"] == f"{arm.offload_rate * 100:.1f}"
        for name in ("p50", "p90", "p95", "p99"):
            assert page.cell(arm.name, f"latency_{name}")["text"] == f"{getattr(arm.latency_ms, name):.2f}"
        assert page.cell(arm.name, "payload")["text"] == f"{arm.payload_bytes_per_sample:.1f}"
        assert page.cell(arm.name, "wire_up")["text"] == f"{arm.wire_up_bytes_per_sample:.1f}"
        assert page.cell(arm.name, "edge_macs")["text"] == f"{arm.edge_macs_per_sample / 1e6:.2f}"
        assert page.cell(arm.name, "cloud_macs")["text"] == f"{arm.cloud_macs_per_sample / 1e6:.2f}"
    low, high = (100 * end for end in next(row.interval for row in rows(bench) if row.arm.name == "dynamic"))
    assert page.cell("dynamic", "accuracy")["note"] == f"{low:.1f}–{high:.1f}"
    assert page.cell("edge-only", "latency_offloaded") == {"value": "", "text": "—"}


def test_the_plots_hold_the_figures_of_the_bench(bench: Bench, page: Page) -> None:
    drawn = figures(page)
    ids = [attributes["data-figure"] for _, attributes in page.tags if "data-figure" in attributes]
    assert sorted(ids) == sorted(drawn)
    dynamic = next(trace for trace in drawn["b0-bytes"]["data"] if trace["name"] == "ECC-D")
    arm = bench.arm("dynamic")
    assert dynamic["x"] == [pytest.approx(arm.payload_bytes_per_sample)]
    assert dynamic["y"] == [pytest.approx(arm.accuracy * 100)]
    edge = next(trace for trace in drawn["b0-bytes"]["data"] if trace["name"] == "Edge-only")
    axis = drawn["b0-bytes"]["layout"]["xaxis"]
    assert axis["ticktext"][axis["tickvals"].index(edge["x"][0])] == "0"  # zero has a place on a logarithmic axis
    stages = [trace["x"] for trace in drawn["b0-breakdown"]["data"] if trace["type"] == "bar"]
    for place, row in enumerate(rows(bench)):
        assert sum(stage[place] for stage in stages) == pytest.approx(row.arm.latency_ms.mean)
    boxes = [trace for trace in drawn["b0-distribution"]["data"] if trace["type"] == "box"]
    assert len(boxes) == len(bench.arms) + 2  # ECC-I and ECC-D answer on both sides
    colours = {t["name"]: t["marker"]["color"] for t in drawn["b0-macs"]["data"] if t["mode"] == "markers"}
    assert len(set(colours.values())) == 5
    assert {t["line"]["color"] for t in drawn["b0-cumulative"]["data"]} == set(colours.values())


def test_logarithmic_axes_have_round_marks(page: Page) -> None:
    shown = figures(page)["b0-bytes"]["layout"]["xaxis"]["ticktext"]
    assert shown == ["0", "100", "200", "500"]
    far = figures(Page(render([fake_bench(60, link_ms=50)])))["b0-distribution"]["layout"]["xaxis"]
    assert (far["type"], far["ticktext"]) == ("log", ["1", "3", "10", "30"])


def test_the_figures_of_the_plots_are_in_tables_too(page: Page, bench: Bench) -> None:
    for arm in bench.arms:
        assert f"{arm.stages_mean_ms['network']:.3f}" in page.text
    assert "The plots need JavaScript" in page.text


def test_the_rest_of_the_page(bench: Bench, page: Page) -> None:
    for text in (bench.environment["cpu"], bench.bundle["pair_id"], bench.settings["order"], "avx512_vnni"):
        assert text in page.text
    assert "Largest drop: 0.30 points" in page.text
    for term in ("Wire bytes", "Interval of an accuracy", "Percentiles", "Gap recovered", "MACs", "Loop"):
        assert term in page.text
    assert page.roles["headline"][0].startswith("ECC-D · int4+zstd: ")


def test_nothing_comes_from_the_network(page: Page) -> None:
    forbidden = {"link", "img", "iframe", "object", "embed", "video", "audio", "source", "base", "form", "image", "use"}
    for tag, attributes in page.tags:
        assert tag not in forbidden
        for name in ("src", "srcset", "action", "data", "poster", "background", "xlink:href", "formaction"):
            assert name not in attributes
        assert attributes.get("href", "#").startswith("#")
        assert "url(" not in attributes.get("style", "")
    assert not any(re.search(r"@import|url\(|https?:", style) for style in page.inline["style"])
    for script in page.inline["script"][1:]:
        names = script.replace("http://www.w3.org/2000/svg", "")  # the name of a language, not an address
        assert not re.search(r"fetch|XMLHttpRequest|import\(|WebSocket|https?:|innerHTML", names)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_policy_admits_the_scripts_of_the_page_and_no_other(page: Page) -> None:
    import base64
    import hashlib

    kinds = [attributes for tag, attributes in page.tags if tag == "script"]
    assert [kind.get("type") for kind in kinds] == ["application/json", None, None, None, None]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    wanted = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in page.inline["script"][1:]
    ]
    assert re.findall(r"sha256-[\w+/=]+", policy) == wanted


def test_hostile_texts_stay_texts() -> None:
    def arms(maker: Maker) -> list[Arm]:
        changes = {"deployment": HOSTILE, "codec": HOSTILE}
        strange = maker.adaptive().model_copy(update={"architecture": HOSTILE, "name": HOSTILE + "2"})
        strange.stages_mean_ms[HOSTILE] = 0.1
        last, before = every_arm(maker)[-1], every_arm(maker)[-2]
        named = [
            last.model_copy(update={"name": HOSTILE, **changes}),
            before.model_copy(update={"name": HOSTILE + "1", **changes}),
        ]
        return [maker.edge_only(), *named, strange]

    facts = {HOSTILE: {HOSTILE: [HOSTILE, None, True]}, "name": HOSTILE, "dataset": HOSTILE, "cpu": HOSTILE}
    bench = fake_bench(
        50, arms=arms, created=HOSTILE, environment=facts, settings=facts, warnings=[HOSTILE],
        bundle={**facts, "guards": {HOSTILE: {"data": HOSTILE, "samples": HOSTILE}}, "halves": {HOSTILE: facts}},
    )  # fmt: skip
    for benches in ([bench], [bench, bench]):
        page = Page(render(benches).encode("utf-8", "replace").decode())
        assert sum(tag == "script" for tag, _ in page.tags) == 5
        assert not any(tag == "img" or "onerror" in attributes for tag, attributes in page.tags)
        assert "alert(2)" in page.text
        assert "49" not in HOSTILE
        assert "{{7*7}}" in page.text
        for figure in figures(page).values():
            names = [trace["name"] for trace in figure["data"] if "name" in trace]
            assert not any("<" in name for name in names)
            hovers = [text for trace in figure["data"] for text in trace.get("hovertext", ())]
            assert all(set(re.findall(r"<[^>]*>", text)) <= {"<b>", "</b>", "<br>"} for text in hovers)


def test_json_cannot_end_its_script() -> None:
    text = html._in_script(json.dumps(HOSTILE + "\u2028<!--"))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == HOSTILE + "\u2028<!--"


def _bare(maker: Maker) -> list[Arm]:
    return [
        arm.model_copy(update={"wire_up_bytes_per_sample": None, "wire_down_bytes_per_sample": None})
        for arm in every_arm(maker)
    ]


def _without_raw(maker: Maker) -> list[Arm]:
    found = every_arm(maker)
    for arm in found:
        for series in (arm.raw.sample, arm.raw.label, arm.raw.predicted, arm.raw.route, arm.raw.reason):
            series.clear()
        arm.raw.stages_ms.clear()
    return found


def _never_sends(maker: Maker) -> list[Arm]:
    return [maker.edge_only(), maker.cloud_only("raw"), maker.independent(0.0), maker.dynamic(0.0)]


def _all_fall_back(maker: Maker) -> list[Arm]:
    return [maker.edge_only(), maker.dynamic(1.0, fallback_share=1.0)]


@pytest.mark.parametrize(
    "bench",
    [
        fake_bench(80, arms=lambda maker: [maker.edge_only()]),
        fake_bench(80, arms=lambda maker: [maker.cloud_only("png")]),
        fake_bench(80, arms=_bare),
        fake_bench(80, arms=_without_raw),
        fake_bench(80, arms=_never_sends),
        fake_bench(80, arms=_all_fall_back),
        fake_bench(1),
        fake_bench(80, edge_accuracy=0.97, cloud_accuracy=0.9),
        fake_bench(80, edge_accuracy=1.0, cloud_accuracy=1.0),
        fake_bench(80, raw_input_bytes=0, bundle={}, settings={}, environment={}),
        fake_bench(80, bundle={"guards": {"x": {"drop_points": "much"}, "y": 3}, "halves": [1]}),
    ],
    ids=["edge only", "cloud only", "no wire", "no raw", "rate 0", "all fell back", "one sample", "edge better",
         "equal", "nothing stated", "odd facts"],
)  # fmt: skip
def test_edge_cases_give_a_page_without_nonsense(bench: Bench) -> None:
    page = Page(render([bench]))
    assert not re.search(r"\b(nan|NaN|inf|None|undefined)\b", page.text)
    for (_, key), cell in page.cells.items():
        assert cell["text"], key
        assert (cell["text"] == "—") is (cell["value"] == ""), (key, cell)
    for figure in figures(page).values():
        assert figure["data"]


def test_the_wire_that_was_not_measured_is_said_to_be_so() -> None:
    page = Page(render([fake_bench(80, arms=_bare)]))
    assert page.cell("dynamic", "wire_up")["text"] == "—"
    assert "Wire bytes were not measured." in page.text


def test_nothing_offloaded_has_no_offloaded_latency() -> None:
    page = Page(render([fake_bench(80, arms=_never_sends)]))
    assert page.cell("dynamic", "latency_offloaded")["text"] == "—"
    assert page.cell("dynamic", "vs_random")["text"] == "—"


def test_figures_that_are_no_numbers_do_not_break_the_plots(bench: Bench) -> None:
    broken = fake_bench(60)
    broken.arm("adaptive").payload_bytes_per_sample = float("inf")
    broken.arm("dynamic").latency_ms.p50 = float("nan")
    page = Page(render([broken]))
    assert page.cell("adaptive", "payload")["text"] == "—"
    assert page.cell("dynamic", "latency_p50")["text"] == "—"
    assert "ECC-A" not in [trace["name"] for trace in figures(page)["b0-bytes"]["data"]]


def test_several_benches_are_laid_over_each_other_and_compared(bench: Bench) -> None:
    other = fake_bench(120, 5, link_ms=20, cpu="Cortex-A76")
    page = Page(render([bench, other]))
    assert page.cell("dynamic", "payload", 1)["text"] == f"{other.arm('dynamic').payload_bytes_per_sample:.1f}"
    assert len(page.roles["headline"]) == 2
    drawn = figures(page)["all-bytes"]["data"]
    symbols = {trace["name"]: trace["marker"]["symbol"] for trace in drawn if trace["mode"] == "markers"}
    assert symbols["A ECC-D"] == "star"
    assert symbols["B ECC-D"] == "star-open"
    fronts = [trace["line"]["dash"] for trace in drawn if trace["mode"] == "lines"]
    assert len(fronts) == len(set(fronts)) == 2
    assert "cpu differs Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz Cortex-A76" in page.text
    assert "os differs" not in page.text


def test_the_file_is_whole_or_absent(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "deep" / "report.html"
    assert write_report([bench], str(out)) == out
    assert out.read_text("utf-8").endswith("</html>")
    assert write_report([bench], out).read_bytes() == out.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match="cannot be written"):
        write_report([bench], out / "below-a-file.html")
    with pytest.raises(UsageError, match="at least one"):
        write_report([], out)


def test_a_missing_library_is_named_with_its_remedy(bench: Bench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(html, "_NEEDS", ("jinja2", "a_module_that_is_not_there"))
    with pytest.raises(BackendMissingError, match="a_module_that_is_not_there") as caught:
        write_report([bench], tmp_path / "report.html")
    assert "pip install 'ecc-deploy[report]'" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_importing_the_report_loads_neither_jinja2_nor_torch() -> None:
    code = (
        "import sys, ecc_deploy.report.html, ecc_deploy.report.tables\n"
        "print([name for name in ('jinja2', 'torch', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
