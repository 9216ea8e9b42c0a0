"""The sentences about a made-up evaluation, whose wins and losses can be read off its figures."""

from dataclasses import replace

from ecc_deploy.evaluation.findings import Finding, findings
from tests.evaluation.made_up import evaluation


def said(found: list[Finding], text: str) -> Finding:
    (finding,) = [finding for finding in found if text in finding.text.replace("\u00a0", " ")]
    return finding


def test_wins_and_losses_are_those_of_the_figures() -> None:
    found = findings(evaluation())
    assert said(found, "ECC-D reaches 93.60 % at most, at 200 B per sample and 40.00 M MACs").kind == "loss"
    within = said(found, "For 93.50 %, within 0.5 points of cloud-only, ECC-D sends 100 B")
    assert within.kind == "note"  # fewer bytes, 100 against 200, but more MACs, 20 M against 10 M
    assert "80.0 % fewer than cloud-only" in within.text.replace("\u00a0", " ")
    assert said(found, "ECC-D does not reach 94.00 %, the accuracy of cloud-only").kind == "loss"
    assert said(found, "ECC-A answers every sample, 93.40 % of them right, 0.60 points below").kind == "note"
    best = said(found, "From 20.0 B to 200 B per sample ECC-D is the most accurate of all")
    assert best.kind == "win"
    assert said(found, "From 200 B per sample on ECC-D is not the most accurate: ECC-I · png leads").kind == "loss"
    assert said(found, "margin 0.820, entropy 0.700").kind == "note"


def test_where_there_is_nothing_to_win_it_is_said() -> None:
    found = findings(evaluation(shift=-0.05))
    assert said(found, "There is no byte budget at which ECC-D is more accurate than all others").kind == "loss"
    assert not [finding for finding in found if finding.kind == "win"]


def test_where_it_wins_throughout_no_loss_is_said() -> None:
    found = findings(evaluation(shift=0.03))
    assert not [finding for finding in found if finding.kind == "loss"]
    assert said(found, "From 20.0 B per sample on ECC-D is the most accurate of all: by up to").kind == "win"


def test_without_an_adapter_nothing_is_said() -> None:
    whole = evaluation()
    cascades = tuple(curve for curve in whole.curves if curve.architecture == "independent")
    assert findings(replace(whole, curves=cascades)) == []
