"""The codecs by name. A codec is one class or function and the decorator :func:`codec`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ecc_deploy.errors import PayloadError
from ecc_deploy.payload.checked import describe
from ecc_deploy.payload.grammar import GRAMMAR, QUALITIES, Spec, parse
from ecc_deploy.payload.interface import DTYPES, Codec, TensorSpec

_BUILTIN = ("ecc_deploy.payload.boundary", "ecc_deploy.payload.image")
_CACHED_CODECS = 64
Build = Callable[[Spec, TensorSpec], Codec]
BuildWithTable = Callable[[Spec, TensorSpec, bytes], Codec]
_B = TypeVar("_B", bound=Build)


@dataclass(frozen=True)
class Family:
    """The codecs of one name."""

    name: str
    takes: str
    """The tensors it suits, in words."""
    suits: Callable[[TensorSpec], bool]
    build: Build
    has_quality: bool
    has_stages: bool
    """Whether delta and zstd may follow."""
    with_table: BuildWithTable | None
    """Builds what the name with ``+ans`` means; ``None`` where ans may not follow."""

    @property
    def usage(self) -> str:
        """``jpeg:QUALITY``, ``int4``."""
        return f"{self.name}:QUALITY" if self.has_quality else self.name


_FAMILIES: dict[str, Family] = {}


def codec(
    name: str,
    *,
    takes: str,
    suits: Callable[[TensorSpec], bool],
    has_quality: bool = False,
    has_stages: bool = False,
    with_table: BuildWithTable | None = None,
) -> Callable[[_B], _B]:
    """Decorator: register what builds the codecs called ``name`` for the tensors that ``suits`` accepts."""

    def register(build: _B) -> _B:
        _FAMILIES[name] = Family(name, takes, suits, build, has_quality, has_stages, with_table)
        return build

    return register


def families() -> list[Family]:
    """Every codec that is known, in the order of registration."""
    for module in _BUILTIN:
        importlib.import_module(module)
    return list(_FAMILIES.values())


@functools.lru_cache(_CACHED_CODECS)
def _cached(spec: str, tensor: TensorSpec, table: bytes | None) -> Codec:
    return _build(parse(spec), tensor, table)


def make_codec(spec: str, tensor: TensorSpec, table: bytes | None = None) -> Codec:
    """Make the codec ``spec`` for ``tensor``; what was made lately is given again. May be called from any thread.

    Boundary codecs, each optionally followed by ``+delta`` (difference to the left neighbour, modulo the code range)
    and ``+zstd`` or ``+zstd:LEVEL`` (level 1 to 19; default 1): ``int8`` (uint8 or int8 tensors), ``int4``, ``int2``,
    ``int1`` (uint8 tensors of codes below 16, 4, 2; packed), ``float32``, ``float16`` (float32 tensors; float16
    rounds once, then is exact).

    Integer boundaries ``(c, h, w)`` can be followed by ``+ans`` instead, which takes ``table``, the bytes of
    :func:`ecc_deploy.payload.ans_table.fit`; no other codec takes one.

    Image codecs: ``raw``, ``png``, ``jpeg:QUALITY``, ``webp:QUALITY`` (1 to 100), ``webp-lossless``.

    Raises :class:`PayloadError` for a spec that is not of this grammar or does not suit ``tensor``, and for a table
    that is missing, not wanted, or not of this tensor.
    """
    try:
        return _cached(spec, tensor, table)
    except TypeError:  # a shape or spec that cannot be hashed: say what is wrong with it
        return _build(parse(spec), tensor, table)


def _build(spec: Spec, tensor: TensorSpec, table: bytes | None) -> Codec:
    known = families()
    family = _FAMILIES.get(spec.name)
    if family is None:
        raise PayloadError(
            f"there is no codec named {spec.name!r}", f"Known codecs: {', '.join(f.usage for f in known)}."
        )
    if not family.has_stages and (spec.delta or spec.level is not None):
        stage = "delta" if spec.delta else "zstd"
        raise PayloadError(f"{spec.name} cannot be followed by {stage}", f"Leave it out: {family.usage}.")
    if spec.ans and family.with_table is None:
        raise PayloadError(f"{spec.name} cannot be followed by ans", f"Leave it out: {family.usage}.")
    if family.has_quality and spec.quality not in QUALITIES:
        given = "without its quality" if spec.quality is None else f"with quality {spec.quality}"
        raise PayloadError(
            f"{spec.name} was named {given}", f"Qualities are {QUALITIES[0]} to {QUALITIES[-1]}: {spec.name}:80."
        )
    if not family.has_quality and spec.quality is not None:
        raise PayloadError(f"{spec.name} takes no number, and got {spec.quality}", GRAMMAR)
    _check_tensor(tensor)
    if not family.suits(tensor):
        suitable = ", ".join(f.usage for f in known if f.suits(tensor))
        raise PayloadError(
            f"{spec.name} takes {family.takes}, not {describe(tensor)}", f"Codecs that suit it: {suitable or 'none'}."
        )
    if family.with_table is None or not spec.ans:
        if table is not None:
            raise PayloadError(f"{spec} was given a table, and takes none", "Only codecs that end in +ans take one.")
        return family.build(spec, tensor)
    if not isinstance(table, bytes):
        given = "" if table is None else f", as bytes and not {type(table).__name__}"
        raise PayloadError(
            f"{spec} needs the table that was fitted for its boundary{given}",
            "It is part of the bundle. Where there is no bundle, use a codec without table.",
        )
    return family.with_table(spec, tensor, table)


def _check_tensor(tensor: TensorSpec) -> None:
    if tensor.dtype not in DTYPES:
        raise PayloadError(f"a payload's tensor cannot be {tensor.dtype}", f"Known dtypes: {', '.join(DTYPES)}.")
    shape = tensor.shape
    if not isinstance(shape, tuple) or not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise PayloadError(
            f"a payload's tensor cannot have the shape {shape!r}", "A shape is a tuple of whole numbers above zero."
        )
