"""What a manifest may say."""

import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from ecc_deploy.bundle import Bundle, Manifest
from ecc_deploy.bundle.manifest import MAX_ELEMENTS


def drop(facts: dict, *path: str) -> None:
    for key in path[:-1]:
        facts = facts[key]
    del facts[path[-1]]


FUSION = {"edge_weight": 0.4, "edge_temperature": 2.0, "cloud_temperature": 3.0}


def large_table(facts: dict) -> None:
    facts["files"]["codec/toy.table"] = {"sha256": "0" * 64, "bytes": (8 << 20) + 1}
    facts["boundaries"]["toy"]["table"] = "codec/toy.table"


def two_boundaries(facts: dict) -> None:
    facts["boundaries"]["other"] = facts["boundaries"]["toy"]
    facts["deployments"]["dynamic"]["boundary"] = "other"


WRONG: dict[str, tuple[Callable[[dict], object], str]] = {
    "unknown field": (lambda f: f.update(script="rm"), "Extra inputs"),
    "no fallback": (lambda f: f.update(fallback="none"), "no edge half 'none'"),
    "a fallback in the cloud": (lambda f: f.update(fallback="full"), "no edge half 'full'"),
    "a half without its file": (lambda f: drop(f, "files", "edge/exit.onnx"), "file of the half 'exit'"),
    "golden samples not listed": (lambda f: drop(f, "files", f["golden"]), "golden samples are not listed"),
    "an edge half in the cloud": (
        lambda f: f["deployments"]["independent"].update(cloud="exit"), "no cloud half 'exit'",
    ),
    "a cloud half on the edge": (lambda f: f["deployments"]["dynamic"].update(edge="tail"), "no edge half 'tail'"),
    "no such boundary": (lambda f: f["boundaries"].clear(), "boundary of the deployment"),
    "dynamic without gate": (lambda f: f["deployments"]["dynamic"].update(gate=None), "not those of dynamic"),
    "edge-only with cloud": (lambda f: f["deployments"]["edge-only"].update(cloud="full"), "not those of edge-only"),
    "a codec with nothing to send": (
        lambda f: f["deployments"]["edge-only"].update(codec="png"), "a codec belongs to what is sent",
    ),
    "nothing said of the boundary": (
        lambda f: f["deployments"]["adaptive"].update(boundary=None), "a boundary is named where one is sent",
    ),
    "codes without scale": (lambda f: f["boundaries"]["toy"].update(scale=None), "scale and a zero point"),
    "codes of 32 bits": (lambda f: f["boundaries"]["toy"].update(bits=32), "cannot have 32 bits"),
    "a negative scale": (lambda f: f["boundaries"]["toy"].update(scale=-1), "greater than 0"),
    "a threshold that is none": (
        lambda f: f["deployments"]["dynamic"]["gate"].update(threshold=float("nan")), "finite",
    ),
    "a learned gate without its output": (
        lambda f: f["deployments"]["dynamic"]["gate"].update(score="learned"), "gives no float32 confidence",
    ),
    "a fusion of one answer": (lambda f: f["deployments"]["edge-only"].update(fusion=FUSION), "takes two answers"),
    "a fusion without the edge's": (lambda f: f["deployments"]["adaptive"].update(fusion=FUSION), "gives no logits"),
    "a weight above one": (
        lambda f: f["deployments"]["dynamic"].update(fusion={**FUSION, "edge_weight": 1.1}), "less than or equal to 1",
    ),
    "a temperature of zero": (
        lambda f: f["deployments"]["dynamic"].update(fusion={**FUSION, "edge_temperature": 0}), "greater than or equal",
    ),
    "a table that is not listed": (
        lambda f: f["boundaries"]["toy"].update(table="codec/toy.table"), "table of the boundary 'toy' is not listed",
    ),
    "a table that is too large": (large_table, "larger than 8388608 bytes"),
    "a table elsewhere": (lambda f: f["boundaries"]["toy"].update(table="../toy.table"), "should match pattern"),
    "two boundaries for one half": (two_boundaries, "send different boundaries to the half 'tail'"),
    "mean of another image": (lambda f: f["input"].update(mean=[0.1, 0.2]), "need 1 values each"),
    "std of zero": (lambda f: f["input"].update(std=[0]), "greater than 0"),
    "one class": (lambda f: f.update(classes=["all"]), "at least 2"),
    "a huge tensor": (
        lambda f: f["halves"]["full"]["inputs"][0].update(shape=[65536, 65536]), f"{MAX_ELEMENTS} allowed",
    ),
    "a dimension of zero": (lambda f: f["halves"]["full"]["inputs"][0].update(shape=[0]), "greater than 0"),
    "a name with a slash": (lambda f: f.update(name="a/b"), "should match pattern"),
}  # fmt: skip


def facts(bundle: Bundle) -> dict:
    return bundle.manifest.model_dump(mode="json")


def test_a_manifest_survives_its_text(toy_bundle: Bundle, rich_bundle: Bundle) -> None:
    for manifest in (toy_bundle.manifest, rich_bundle.manifest):
        assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_gate_fusion_and_table_are_part_of_the_pair(rich_bundle: Bundle) -> None:
    before = facts(rich_bundle)
    for at in (("deployments", "dynamic", "fusion", "edge_weight"), ("deployments", "dynamic", "gate", "threshold")):
        changed = json.loads(json.dumps(before))
        place = changed
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] += 0.01
        assert Manifest.model_validate(changed).pair_id != rich_bundle.manifest.pair_id
    changed = json.loads(json.dumps(before))
    changed["files"]["codec/toy.table"]["sha256"] = "0" * 64
    assert Manifest.model_validate(changed).pair_id != rich_bundle.manifest.pair_id


@pytest.mark.parametrize("what", WRONG)
def test_what_contradicts_itself_is_refused(toy_bundle: Bundle, what: str) -> None:
    change, says = WRONG[what]
    changed = facts(toy_bundle)
    change(changed)
    with pytest.raises(ValidationError, match=says):
        Manifest.model_validate(changed)


def test_the_halves_of_a_deployment(toy_bundle: Bundle) -> None:
    manifest = toy_bundle.manifest
    dynamic, edge_only = manifest.deployments["dynamic"], manifest.deployments["edge-only"]
    assert manifest.half_of(dynamic, "edge") is manifest.halves["exit-and-encode"]
    assert manifest.half_of(dynamic, "cloud") is manifest.halves["tail"]
    assert manifest.half_of(edge_only, "cloud") is None
