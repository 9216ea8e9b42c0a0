import pytest

from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.payload.choice import CASCADE_COMPARATORS, IMAGE_COMPARATORS

CASCADE = ["independent", *(f"independent/{codec}" for codec in CASCADE_COMPARATORS)]


def _names(bundle: Bundle, selected: list[str] | None = None, codecs: list[str] | None = None) -> list[str]:
    return [arm.name for arm in choose_arms(bundle, selected, codecs)]


def altered(bundle: Bundle, **changes: object) -> Bundle:
    return Bundle(bundle.path, bundle.manifest.model_copy(update=changes))


def test_all_architectures_and_every_image_codec(toy_bundle: Bundle) -> None:
    cloud_only = [f"cloud-only/{codec}" for codec in IMAGE_COMPARATORS]
    assert _names(toy_bundle) == ["edge-only", *cloud_only, *CASCADE, "adaptive", "dynamic"]


def test_what_is_sent_is_named(toy_bundle: Bundle) -> None:
    codecs = {arm.name: arm.codec for arm in choose_arms(toy_bundle)}
    assert codecs["edge-only"] is None
    assert codecs["cloud-only/webp:50"] == "webp:50"
    assert codecs["independent"] == "png"
    assert codecs["dynamic"] == "int4"
    assert [arm.name for arm in choose_arms(toy_bundle) if not arm.needs_cloud] == ["edge-only"]


def test_selection_by_arm_deployment_and_architecture(toy_bundle: Bundle) -> None:
    assert _names(toy_bundle, ["dynamic", "edge-only", "cloud-only/raw"]) == ["edge-only", "cloud-only/raw", "dynamic"]
    assert _names(toy_bundle, ["cloud-only"], ["png", "jpeg:50"]) == ["cloud-only/png", "cloud-only/jpeg:50"]
    listed = toy_bundle.manifest.deployments
    renamed = altered(toy_bundle, deployments={**listed, "early": listed["dynamic"]})
    assert _names(renamed, ["dynamic"]) == ["dynamic"]
    assert _names(renamed, ["early"]) == ["early"]
    assert set(_names(renamed)) > {"early", "dynamic"}


def test_another_codec_makes_another_arm(toy_bundle: Bundle) -> None:
    arms = choose_arms(toy_bundle, ["independent/webp:50", "dynamic/int4+zstd", "cloud-only/jpeg:30"])
    assert [(arm.name, arm.deployment, arm.codec) for arm in arms] == [
        ("cloud-only/jpeg:30", "cloud-only", "jpeg:30"),
        ("independent/webp:50", "independent", "webp:50"),
        ("dynamic/int4+zstd", "dynamic", "int4+zstd"),
    ]


def test_fused_answers_and_a_codec_with_a_table(rich_bundle: Bundle) -> None:
    arms = {arm.name: arm for arm in choose_arms(rich_bundle)}
    fused = [*CASCADE, "adaptive-fused", "dynamic"]
    assert [name for name, arm in arms.items() if arm.fused] == fused
    assert arms["adaptive-fused"].architecture == "adaptive"
    assert {arms[name].codec for name in ("adaptive", "adaptive-fused", "dynamic")} == {"int4+ans"}
    assert _names(rich_bundle, ["adaptive"]) == ["adaptive"]
    assert _names(rich_bundle, ["dynamic/int4+zstd", "adaptive-fused/int4"]) == [
        "adaptive-fused/int4",
        "dynamic/int4+zstd",
    ]
    assert _names(rich_bundle, ["dynamic/int4+ans"]) == ["dynamic"]


def test_a_codec_whose_table_the_bundle_has_not(toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"int4\+ans.*needs the table"):
        choose_arms(toy_bundle, ["dynamic/int4+ans"])


def test_no_arm_twice(toy_bundle: Bundle) -> None:
    assert _names(toy_bundle, ["independent", "independent", "independent/png"]) == ["independent"]
    assert _names(toy_bundle, ["cloud-only"], ["png", "png"]) == ["cloud-only/png"]


@pytest.mark.parametrize("name", ["fast", "cloud-only/", "edge-only/png", "nothing/png", ""])
def test_an_unknown_arm_lists_the_known_ones(toy_bundle: Bundle, name: str) -> None:
    with pytest.raises(UsageError, match="no arm named") as caught:
        choose_arms(toy_bundle, [name])
    assert "cloud-only/webp:80" in caught.value.hint
    assert "dynamic" in caught.value.hint


@pytest.mark.parametrize("codec", ["webp:900", "gif", "int4"])
def test_a_codec_that_does_not_fit_is_said(toy_bundle: Bundle, codec: str) -> None:
    with pytest.raises(UsageError, match=codec):
        choose_arms(toy_bundle, None, [codec])
    with pytest.raises(UsageError, match=codec):
        choose_arms(toy_bundle, [f"independent/{codec}"])


def test_a_codec_too_narrow_for_the_boundary_is_said(toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="int2"):
        choose_arms(toy_bundle, ["dynamic/int2"])
    assert _names(toy_bundle, ["dynamic/int8"]) == ["dynamic/int8"]


def test_nothing_selected(toy_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="no arm was selected"):
        choose_arms(toy_bundle, [])
    with pytest.raises(UsageError, match="empty"):
        choose_arms(toy_bundle, None, [])


def test_usual_codecs_that_cannot_hold_the_image_are_left_out(toy_bundle: Bundle) -> None:
    wide = altered(toy_bundle, input=toy_bundle.manifest.input.model_copy(update={"width": 20_000}))
    names = _names(wide, ["cloud-only"])
    assert "cloud-only/raw" in names
    assert "cloud-only/png" in names
    assert not any("webp" in name for name in names)
