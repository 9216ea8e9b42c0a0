"""Dotted paths into a recipe: ``adapter.bits``, ``phases.0.rate.weight``, ``phases.joint.epochs``.

An item of a list is named by its number, or by the name that it carries.
"""

from __future__ import annotations

from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from ecc_deploy.errors import RecipeError
from ecc_deploy.training.recipe import Recipe


def put(tree: dict[str, Any], path: str, value: object) -> None:
    """Set what lies at ``path`` of a recipe's tables, in place; makes tables on the way that the recipe leaves out.

    Raises :class:`RecipeError` for a path that a recipe cannot have, naming the nearest that it can.
    """
    holder, last = _find(tree, path, make=True)
    holder[last] = value


def drop(tree: dict[str, Any], path: str) -> None:
    """Remove what lies at ``path``, in place. Raises :class:`RecipeError` where nothing does."""
    holder, last = _find(tree, path, make=False)
    if isinstance(holder, dict) and last not in holder:
        raise _nothing_there(path)
    del holder[last]


def _find(tree: dict[str, Any], path: str, *, make: bool) -> tuple[Any, Any]:
    """The table or list that holds the last step of ``path``, and that step as its key or index."""
    kind: Any = Recipe
    holder: Any = tree
    steps = path.split(".")
    for place, step in enumerate(steps):
        kind, key = _enter(kind, holder, step, path)
        if place == len(steps) - 1:
            return holder, key
        if isinstance(holder, dict) and holder.get(key) is None:
            if not make:
                raise _nothing_there(path)
            if _kind(kind)[0] is list:
                raise RecipeError(f"the sweep's path {path!r}: the recipe has no {step!r} yet, so it has no item of it")
            holder[key] = {}
        holder = holder[key]
    raise AssertionError("split gives at least one step")


def _enter(kind: Any, holder: Any, step: str, path: str) -> tuple[Any, str | int]:
    """The type of what lies at ``step``, and the step as a key of ``holder`` or an index into it."""
    origin, inner = _kind(kind)
    if origin is Any or (origin is dict and isinstance(holder, dict)):
        if not isinstance(holder, dict):
            raise RecipeError(f"the sweep's path {path!r} goes into a value: {step!r} can only lie in a table")
        return inner, step
    if origin is list:
        return inner, _index(holder, step, path)
    if isinstance(origin, type) and issubclass(origin, BaseModel) and isinstance(holder, dict):
        fields = origin.model_fields
        if step not in fields:
            near = get_close_matches(step, fields, n=3, cutoff=0.5)
            known = f"Nearest: {', '.join(near)}. " if near else ""
            raise RecipeError(
                f"the sweep's path {path!r} does not exist: there is no field {step!r}",
                f"{known}There are: {', '.join(fields)}.",
            )
        return fields[step].annotation, step
    raise RecipeError(f"the sweep's path {path!r} goes into a value: {step!r} can only lie in a table")


def _index(items: list[Any], step: str, path: str) -> int:
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if step in names:
        return names.index(step)
    if step.isdecimal() and int(step) < len(items):
        return int(step)
    listed = ", ".join(str(number) if name is None else f"{number} ({name})" for number, name in enumerate(names))
    raise RecipeError(f"the sweep's path {path!r} does not exist: there is no item {step!r}", f"There are: {listed}.")


def _kind(annotation: Any) -> tuple[Any, Any]:
    """A type without ``Annotated`` and ``None``: ``list``, ``dict``, a class or Any; and the type of its items."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _kind(next(item for item in arguments if item is not NoneType))
    if annotation is Any:
        return Any, Any
    return origin or annotation, (arguments[-1] if arguments else Any)


def _nothing_there(path: str) -> RecipeError:
    return RecipeError(f"the sweep unsets {path!r}, and the recipe has nothing there")
