"""The table and the page of an evaluation, against the figures that it was made of."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ecc_deploy.errors import BackendMissingError, UsageError
from ecc_deploy.evaluation.evaluate import IMAGE_CODECS
from ecc_deploy.evaluation.result import Evaluation
from ecc_deploy.evaluation.seeds import over_seeds
from ecc_deploy.report import html
from ecc_deploy.report.curves import against_bytes, against_macs, against_rate
from ecc_deploy.report.evaluations import evaluation_table, heading, render_curves, write_curves
from tests.evaluation.made_up import CLOUD, EDGE, curve, evaluation
from tests.report.page import Page

HOSTILE = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>'\"&{{7*7}}"


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_curves(evaluation()))


def trace(figure: dict, name: str) -> dict:
    (found,) = [trace for trace in drawn(figure) if trace["name"] == name]
    return found


def drawn(figure: dict, mode: str = "") -> list[dict]:
    """The traces with points; those of curves have one without, for the legend."""
    return [trace for trace in figure["data"] if trace["x"] != [None] and mode in ("", trace["mode"])]


def many_codecs() -> Evaluation:
    """ECC-I with every codec that is compared by default."""
    accuracies = (EDGE, 0.92, 0.93, 0.93)
    added = [
        curve("independent", codec, accuracies, 100 * size, name=f"independent/{codec}")
        for size, codec in enumerate(IMAGE_CODECS, 1)
    ]
    made = evaluation()
    return replace(made, curves=(*made.curves[2:], *added))


def test_the_plots_hold_the_figures(page: Page) -> None:
    figures = json.loads(page.inline["script"][0])
    ids = [attributes["data-figure"] for _, attributes in page.tags if "data-figure" in attributes]
    assert sorted(ids) == sorted(figures) == ["bytes", "macs", "recall"]
    dynamic = trace(figures["bytes"], "ECC-D")
    assert dynamic["x"] == pytest.approx([0, 20, 100, 200])
    assert dynamic["y"] == pytest.approx([90, 93, 93.5, 93.6])
    assert trace(figures["macs"], "ECC-D")["x"] == pytest.approx([0, 4, 20, 40])
    assert trace(figures["recall"], "margin (area 0.820)")["y"] == pytest.approx([0, 60, 90, 100])
    assert trace(figures["bytes"], "Edge-only, 90.00\u00a0%")["y"] == [100 * EDGE] * 2
    assert trace(figures["bytes"], "Cloud-only, 94.00\u00a0%")["y"] == pytest.approx([100 * CLOUD] * 2)
    assert trace(figures["bytes"], "Cloud-only, every sample sent")["x"] == [3072, 400]
    assert trace(figures["bytes"], "ECC-A, every sample sent")["x"] == [200]


def test_only_the_gate_that_was_asked_for_is_drawn_against_costs() -> None:
    made = evaluation()
    assert [t["name"] for t in drawn(against_bytes(made), "lines+markers")] == [
        "ECC-I · png",
        "ECC-I · webp:50",
        "ECC-D",
    ]
    assert [t["name"] for t in drawn(against_bytes(replace(made, gate="margin")), "lines+markers")] == ["ECC-D"]


def test_the_legend_shows_every_curve_once() -> None:
    for figure in (against_bytes(many_codecs()), against_macs(evaluation()), against_rate(evaluation())):
        assert figure is not None
        shown = [t for t in figure["data"] if t.get("showlegend", True)]
        assert len({t["name"] for t in shown}) == len(shown)
        assert {t["name"] for t in shown} == {t["name"] for t in drawn(figure)}
        assert all(t["marker"]["size"] > 5 for t in shown if t["mode"] == "lines+markers")


def test_no_two_curves_are_told_apart_by_colour_alone() -> None:
    curves = drawn(against_bytes(many_codecs()), "lines+markers")
    assert len(curves) == 1 + len(IMAGE_CODECS)
    assert len({(t["line"]["dash"], t["marker"]["symbol"]) for t in curves}) == len(curves)
    widest = max(curves, key=lambda t: t["line"]["width"])
    assert (widest["name"], widest["line"]["dash"]) == ("ECC-D", "solid")
    recalls = against_rate(evaluation())
    assert recalls is not None
    gates = drawn(recalls, "lines+markers")
    assert len({(t["line"]["dash"], t["marker"]["symbol"]) for t in gates}) == len(gates) == 2


def test_codecs_that_cost_the_cloud_the_same_share_one_curve() -> None:
    names = [t["name"] for t in drawn(against_macs(many_codecs())) if t["name"].startswith("ECC-I")]
    assert len(names) == 1
    assert "raw, png, webp-lossless" in names[0]


def test_the_table_holds_the_rows(page: Page) -> None:
    assert page.cell("dynamic", "accuracy")["text"] == "93.00"
    assert float(page.cell("dynamic", "gap_recovered")["value"]) == pytest.approx(75)
    assert page.cell("dynamic", "payload_bytes")["text"] == "20.0"
    assert page.cell("dynamic", "cloud_macs")["text"] == "4.00"
    assert page.cell("dynamic", "bytes_of_best_image")["text"] == "5"  # 20 of 400 bytes
    assert page.cell("edge-only", "payload_bytes")["value"] == "0.0"
    assert "From 20.0 B to 200 B per sample ECC-D is the most accurate of all" in page.text.replace("\u00a0", " ")


def test_the_page_loads_nothing_and_escapes_everything(page: Page) -> None:
    made = evaluation(system=HOSTILE)
    hostile = Page(render_curves(replace(made, dataset=HOSTILE, curves=(*made.curves[:1], *made.curves[2:]))))
    for one in (page, hostile):
        assert not [tag for tag, attributes in one.tags if tag in ("link", "img", "iframe") or "src" in attributes]
        assert len(one.inline["script"]) == 5
        (policy,) = [attributes["content"] for tag, attributes in one.tags if "http-equiv" in attributes]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "{{7*7}}" in hostile.text
    assert [tag for tag, _ in hostile.tags].count("script") == 5


def test_seeds_show_means_and_deviations() -> None:
    seeds = over_seeds([evaluation(), evaluation(shift=0.002)])
    assert "of 2 seeds" in heading(seeds)
    assert Page(render_curves(seeds)).cell("dynamic", "accuracy")["text"] == "93.10 ± 0.14"
    console = Console(width=200)
    with console.capture() as captured:
        console.print(evaluation_table(seeds, 200))
    assert re.search(r"^ ?dynamic +93.10 ± 0.14 ", captured.get(), re.MULTILINE)


@pytest.mark.parametrize("width", [70, 100, 160])
def test_a_narrow_terminal_loses_columns_and_no_figures(width: int) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(evaluation_table(evaluation(), width))
    text = captured.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for heading_ in ("Top-1", "cloud MACs", "Gate"):
        assert heading_ in text
    assert ("of raw" in text) == (width > 70)


def test_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = write_curves(evaluation(), tmp_path / "curves.html")
    assert out.read_text().startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(UsageError, match="cannot be written"):
        write_curves(evaluation(), out / "curves.html")
    monkeypatch.setattr(html, "missing", lambda modules: ["jinja2"])
    with pytest.raises(BackendMissingError, match="jinja2"):
        write_curves(evaluation(), tmp_path / "other.html")


def test_the_report_of_an_evaluation_needs_no_torch() -> None:
    code = "import sys, ecc_deploy.report.evaluations; print('torch' in sys.modules, 'jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
