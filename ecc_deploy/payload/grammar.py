"""The grammar of codec specs: ``NAME[:QUALITY][+delta][+zstd[:LEVEL]]`` or ``NAME+ans``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ecc_deploy.errors import PayloadError

LEVELS = range(1, 20)
DEFAULT_LEVEL = 1
QUALITIES = range(1, 101)
MAX_SPEC_CHARACTERS = 64
GRAMMAR = "A codec is NAME, NAME:QUALITY, NAME+ans or NAME+delta+zstd:LEVEL; delta, zstd and its level may be left out."

_NAME = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclass(frozen=True)
class Spec:
    """A parsed spec; ``str()`` of it is the canonical text, in which a default level is left out."""

    name: str
    quality: int | None = None
    delta: bool = False
    level: int | None = None
    """Of zstd; ``None`` without zstd."""
    ans: bool = False
    """Coded by a table; stands alone."""

    def __str__(self) -> str:
        text = self.name if self.quality is None else f"{self.name}:{self.quality}"
        if self.delta:
            text += "+delta"
        if self.level is not None:
            text += "+zstd" if self.level == DEFAULT_LEVEL else f"+zstd:{self.level}"
        return f"{text}+ans" if self.ans else text


def parse(text: str) -> Spec:
    """Parse a spec. Raises :class:`PayloadError` saying which part of it is wrong."""
    if not isinstance(text, str):
        raise PayloadError(f"a codec is named by text, not {type(text).__name__}", GRAMMAR)
    if len(text) > MAX_SPEC_CHARACTERS:
        raise PayloadError(
            f"{text[:MAX_SPEC_CHARACTERS]!r}… is no codec: it has more than {MAX_SPEC_CHARACTERS} characters", GRAMMAR
        )
    head, *stages = text.split("+")
    name, quality = _split(head, text)
    if not _NAME.fullmatch(name):
        raise PayloadError(f"{text!r} does not begin with the name of a codec", GRAMMAR)
    if "ans" in stages and len(stages) > 1:
        raise PayloadError(f"{text!r} has more stages than ans", f"ans stands alone: {name}+ans.")
    if stages == ["ans"]:
        return Spec(name, quality, ans=True)
    delta, level = False, None
    for stage in stages:
        kind, number = _split(stage, text)
        if kind not in ("delta", "zstd"):
            raise PayloadError(f"{text!r} has the unknown stage {kind!r}", "The stages are delta and zstd, or ans.")
        if (kind == "delta" and delta) or (kind == "zstd" and level is not None):
            raise PayloadError(f"{text!r} has the stage {kind} twice", "Name it once.")
        if kind == "delta" and level is not None:
            raise PayloadError(f"{text!r} has delta after zstd", f"Put it before: {name}+delta+zstd.")
        if kind == "delta":
            if number is not None:
                raise PayloadError(f"{text!r} gives delta a number", "delta takes none.")
            delta = True
        else:
            level = DEFAULT_LEVEL if number is None else number
            if level not in LEVELS:
                raise PayloadError(f"{text!r} asks for zstd level {level}", "Levels are 1 to 19.")
    return Spec(name, quality, delta, level)


def _split(part: str, text: str) -> tuple[str, int | None]:
    """``name`` and ``number`` of ``name:number``."""
    name, colon, number = part.partition(":")
    if not colon:
        return name, None
    if not _NUMBER.fullmatch(number):
        raise PayloadError(f"{text!r} has {number!r} where a number should be", GRAMMAR)
    return name, int(number)
