"""The codecs of a bundle: what crosses the link as which tensor, and the table that some codecs need on both sides."""

from __future__ import annotations

from dataclasses import dataclass

from ecc_deploy.bundle.manifest import Manifest
from ecc_deploy.bundle.store import Bundle
from ecc_deploy.payload import Codec, TensorSpec, make_codec
from ecc_deploy.payload.grammar import parse


@dataclass(frozen=True)
class Sent:
    """What a deployment sends: one sample's tensor, and the table that was fitted for it, where there is one."""

    tensor: TensorSpec
    table: bytes | None = None

    def codec(self, spec: str) -> Codec:
        """The codec ``spec``, with the table where it takes one. Raises :class:`PayloadError`."""
        return make_codec(spec, self.tensor, self.table if parse(spec).ans else None)


def tensor_sent(manifest: Manifest, boundary: str | None) -> TensorSpec:
    """The boundary ``(c, h, w)`` of this key; for ``None`` the input, an image uint8 ``(height, width, channels)``."""
    if boundary is None:
        return TensorSpec("uint8", (manifest.input.height, manifest.input.width, manifest.input.channels))
    tensor = manifest.boundaries[boundary].tensor
    return TensorSpec(tensor.dtype, tensor.shape)


def sent(bundle: Bundle, boundary: str | None) -> Sent:
    """What is sent by the deployments of ``bundle`` with this ``boundary``, ``None`` for those that send the input.

    Reads the table's file, where the boundary has one.
    """
    name = None if boundary is None else bundle.manifest.boundaries[boundary].table
    table = None if name is None else bundle.file(name).read_bytes()
    return Sent(tensor_sent(bundle.manifest, boundary), table)
