"""The arms that a benchmark compares: one per deployment of the bundle, for cloud-only one per image codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.errors import PayloadError, UsageError
from ecc_deploy.payload.choice import CASCADE_COMPARATORS, IMAGE_COMPARATORS

_ORDER = ("edge-only", "cloud-only", "independent", "adaptive", "dynamic")


@dataclass(frozen=True)
class ArmSpec:
    """One arm: a deployment with one codec. ``codec`` is ``None`` where nothing is sent.

    ``fused``: whether the answers to what is sent are those of edge and cloud together.
    """

    name: str
    deployment: str
    architecture: str
    codec: str | None
    fused: bool = False

    @property
    def needs_cloud(self) -> bool:
        return self.codec is not None


def choose_arms(
    bundle: Bundle, selected: Sequence[str] | None = None, image_codecs: Sequence[str] | None = None
) -> list[ArmSpec]:
    """Return the arms to measure, in the order of the architectures, without duplicates.

    ``selected``: names of arms (``cloud-only/webp:80``, ``dynamic``), deployments or architectures; ``None``: all
    deployments, cloud-only with every image codec and ECC-I with its own and :data:`CASCADE_COMPARATORS`.
    ``DEPLOYMENT/CODEC`` makes an arm of any deployment that sends something with another codec, as in
    ``independent/webp:50``. ``image_codecs``: the codecs of the cloud-only arms. Those of :data:`IMAGE_COMPARATORS`
    that cannot hold the bundle's images are left out, others are an error.

    Raises :class:`UsageError` for an unknown name, listing the known ones, and for a codec that does not fit.
    """
    arms = _default_arms(bundle, image_codecs)
    if selected is None:
        return arms
    if not selected:
        raise UsageError("no arm was selected", _known(arms))
    chosen = [arm for name in selected for arm in _select(bundle, arms, name)]
    unique = {(arm.deployment, arm.codec): arm for arm in reversed(chosen)}
    return sorted(unique.values(), key=lambda arm: _rank(arm, arms))


def _default_arms(bundle: Bundle, image_codecs: Sequence[str] | None) -> list[ArmSpec]:
    if image_codecs is not None and not image_codecs:
        raise UsageError("the list of image codecs is empty", f"The usual ones: {', '.join(IMAGE_COMPARATORS)}.")
    arms: list[ArmSpec] = []
    for name, deployment in bundle.manifest.deployments.items():
        architecture, own = deployment.architecture, deployment.codec
        if architecture != "cloud-only":
            arms.append(_arm(bundle, name, own, named=name))
        if architecture == "cloud-only":
            others = image_codecs or _that_fit(bundle, IMAGE_COMPARATORS)
        elif architecture == "independent" and image_codecs is None:
            others = [codec for codec in _that_fit(bundle, CASCADE_COMPARATORS) if codec != own]
        else:
            continue
        codecs = [_canonical(bundle, name, codec) for codec in others]
        arms += [_arm(bundle, name, codec) for codec in dict.fromkeys(codecs)]
    return sorted(arms, key=lambda arm: _ORDER.index(arm.architecture))  # stable: codecs keep their order


def _arm(bundle: Bundle, deployment: str, codec: str | None, *, named: str | None = None) -> ArmSpec:
    facts = bundle.manifest.deployments[deployment]
    name = named or f"{deployment}/{codec}"
    return ArmSpec(name, deployment, facts.architecture, codec, fused=facts.fusion is not None)


def _that_fit(bundle: Bundle, codecs: Sequence[str]) -> list[str]:
    """Those of ``codecs`` that can hold the bundle's images."""
    fitting = []
    for codec in codecs:
        try:
            sent(bundle, None).codec(codec)
        except PayloadError:  # WebP ends at 16,383 pixels a side
            continue
        fitting.append(codec)
    return fitting


def _canonical(bundle: Bundle, name: str, codec: str) -> str:
    """The codec's own spelling, if it can hold whatever the deployment ``name`` may send."""
    boundary = bundle.manifest.deployments[name].boundary
    what = sent(bundle, boundary)
    tensor = what.tensor
    top = 255.0 if boundary is None else 2.0 ** bundle.manifest.boundaries[boundary].bits - 1
    largest = min(top, np.iinfo(tensor.dtype).max) if tensor.dtype != "float32" else 0.0
    try:
        made = what.codec(codec)
        made.encode(np.full(tensor.shape, largest, tensor.dtype))
    except PayloadError as error:
        raise UsageError(f"{name} cannot send with the codec {codec!r}: {error.message}", error.hint) from error
    return made.spec


def _select(bundle: Bundle, arms: list[ArmSpec], name: str) -> list[ArmSpec]:
    found = [arm for arm in arms if arm.name == name]
    found = found or [arm for arm in arms if name in (arm.deployment, arm.architecture)]
    if found:
        return found
    key, _, codec = name.partition("/")
    deployment = bundle.manifest.deployments.get(key)
    if not codec or deployment is None or deployment.sends is None:
        raise UsageError(f"there is no arm named {name!r} in this bundle", _known(arms))
    spec = _canonical(bundle, key, codec)
    usual = [arm for arm in arms if arm.deployment == key and arm.codec == spec]
    return usual or [_arm(bundle, key, spec)]


def _rank(arm: ArmSpec, arms: list[ArmSpec]) -> tuple[int, int]:
    """By architecture, then in the default order, then as they were named (``sorted`` is stable)."""
    return _ORDER.index(arm.architecture), arms.index(arm) if arm in arms else len(arms)


def _known(arms: list[ArmSpec]) -> str:
    return f"Arms of this bundle: {', '.join(arm.name for arm in arms)}; DEPLOYMENT/CODEC sets another codec."
