"""What a module does, written down: steps that take and give values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

INPUT = -1
"""The step that stands for the input image."""


class UntraceableError(Exception):
    """Why a module's steps cannot be written down."""


@dataclass(frozen=True)
class Value:
    """What a step gave: all of it, or what ``keys`` lead to in a tuple, dictionary or dataclass."""

    step: int
    keys: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class BatchMultiple:
    """A number that is ``times`` the batch size."""

    times: float


@dataclass(frozen=True)
class Device:
    """The device of the input."""


@dataclass(frozen=True)
class Weight:
    """A parameter or buffer that the code uses itself, by its path."""

    path: str


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that is no parameter and no buffer, such as a plain attribute."""

    tensor: torch.Tensor


@dataclass(frozen=True)
class Step:
    """One call: of the submodule at a path, or of a function. Tensors among the arguments are the classes above."""

    target: str | Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def values(self) -> Iterator[Value]:
        """The values that the call takes."""
        found: list[Value] = []
        mapped((self.args, self.kwargs), lambda item: found.append(item) if isinstance(item, Value) else None)
        return iter(found)


@dataclass
class Recording:
    """The steps of one run, which of their values are the logits, and the shapes of all values."""

    steps: list[Step] = field(default_factory=list)
    logits: Value = Value(INPUT)
    shapes: dict[Value, tuple[int, ...]] = field(default_factory=dict)


def mapped(item: Any, change: Callable[[Any], Any]) -> Any:
    """``item`` with ``change`` applied to everything in its tuples, lists, dictionaries and slices."""
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return type(item)(*(mapped(part, change) for part in item))
    if isinstance(item, tuple | list):
        parts = (mapped(part, change) for part in item)
        return list(parts) if isinstance(item, list) else tuple(parts)
    if type(item) is dict:
        return {key: mapped(part, change) for key, part in item.items()}
    if isinstance(item, slice):
        return slice(*(mapped(part, change) for part in (item.start, item.stop, item.step)))
    return change(item)


def fetch(item: Any, key: str | int) -> Any:
    """A member of what a step gave."""
    if isinstance(item, Mapping) or isinstance(key, int):
        return item[key]
    return getattr(item, key)


def members(item: Any) -> Iterator[tuple[str | int, Any]]:
    """The members that :func:`fetch` can name, in order."""
    if isinstance(item, Mapping):
        yield from item.items()
    elif isinstance(item, tuple | list):
        yield from enumerate(item)
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        for part in dataclasses.fields(item):
            yield part.name, getattr(item, part.name)
