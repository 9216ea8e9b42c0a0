import pytest

from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bundle import Bundle, Manifest
from ecc_deploy.errors import UsageError
from ecc_deploy.payload.choice import IMAGE_COMPARATORS

CASCADE = ["independent", "independent/webp:80", "independent/webp:50"]


@pytest.fixture
def manifest(toy_bundle: Bundle) -> Manifest:
    return toy_bundle.manifest


def _names(manifest: Manifest, selected: list[str] | None = None, codecs: list[str] | None = None) -> list[str]:
    return [arm.name for arm in choose_arms(manifest, selected, codecs)]


def test_all_architectures_and_every_image_codec(manifest: Manifest) -> None:
    cloud_only = [f"cloud-only/{codec}" for codec in IMAGE_COMPARATORS]
    assert _names(manifest) == ["edge-only", *cloud_only, *CASCADE, "adaptive", "dynamic"]


def test_what_is_sent_is_named(manifest: Manifest) -> None:
    codecs = {arm.name: arm.codec for arm in choose_arms(manifest)}
    assert codecs["edge-only"] is None
    assert codecs["cloud-only/webp:50"] == "webp:50"
    assert codecs["independent"] == "png"
    assert codecs["dynamic"] == "int4"
    assert [arm.name for arm in choose_arms(manifest) if not arm.needs_cloud] == ["edge-only"]


def test_selection_by_arm_deployment_and_architecture(manifest: Manifest) -> None:
    assert _names(manifest, ["dynamic", "edge-only", "cloud-only/raw"]) == ["edge-only", "cloud-only/raw", "dynamic"]
    assert _names(manifest, ["cloud-only"], ["png", "jpeg:50"]) == ["cloud-only/png", "cloud-only/jpeg:50"]
    renamed = manifest.model_copy(
        update={"deployments": {**manifest.deployments, "early": manifest.deployments["dynamic"]}}
    )
    assert _names(renamed, ["dynamic"]) == ["dynamic"]
    assert _names(renamed, ["early"]) == ["early"]
    assert set(_names(renamed)) > {"early", "dynamic"}


def test_another_codec_makes_another_arm(manifest: Manifest) -> None:
    arms = choose_arms(manifest, ["independent/webp:50", "dynamic/int4+zstd", "cloud-only/jpeg:30"])
    assert [(arm.name, arm.deployment, arm.codec) for arm in arms] == [
        ("cloud-only/jpeg:30", "cloud-only", "jpeg:30"),
        ("independent/webp:50", "independent", "webp:50"),
        ("dynamic/int4+zstd", "dynamic", "int4+zstd"),
    ]


def test_no_arm_twice(manifest: Manifest) -> None:
    assert _names(manifest, ["independent", "independent", "independent/png"]) == ["independent"]
    assert _names(manifest, ["cloud-only"], ["png", "png"]) == ["cloud-only/png"]


@pytest.mark.parametrize("name", ["fast", "cloud-only/", "edge-only/png", "nothing/png", ""])
def test_an_unknown_arm_lists_the_known_ones(manifest: Manifest, name: str) -> None:
    with pytest.raises(UsageError, match="no arm named") as caught:
        choose_arms(manifest, [name])
    assert "cloud-only/webp:80" in caught.value.hint
    assert "dynamic" in caught.value.hint


@pytest.mark.parametrize("codec", ["webp:900", "gif", "int4"])
def test_a_codec_that_does_not_fit_is_said(manifest: Manifest, codec: str) -> None:
    with pytest.raises(UsageError, match=codec):
        choose_arms(manifest, None, [codec])
    with pytest.raises(UsageError, match=codec):
        choose_arms(manifest, [f"independent/{codec}"])


def test_a_codec_too_narrow_for_the_boundary_is_said(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="int2"):
        choose_arms(manifest, ["dynamic/int2"])
    assert _names(manifest, ["dynamic/int8"]) == ["dynamic/int8"]


def test_nothing_selected(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="no arm was selected"):
        choose_arms(manifest, [])
    with pytest.raises(UsageError, match="empty"):
        choose_arms(manifest, None, [])


def test_usual_codecs_that_cannot_hold_the_image_are_left_out(manifest: Manifest) -> None:
    wide = manifest.model_copy(update={"input": manifest.input.model_copy(update={"width": 20_000})})
    names = _names(wide, ["cloud-only"])
    assert "cloud-only/raw" in names
    assert "cloud-only/png" in names
    assert not any("webp" in name for name in names)
