"""The backbones by name, and building one."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Backbone, Shape
from ecc_deploy.zoo.own import build_own

_REGISTER: dict[str, Callable[..., Backbone]] = {}


def backbone(name: str) -> Callable[[Callable[..., Backbone]], Callable[..., Backbone]]:
    """Decorator: register a factory that takes ``input_shape``, ``classes`` and its own keyword arguments."""

    def register(factory: Callable[..., Backbone]) -> Callable[..., Backbone]:
        _REGISTER[name] = factory
        return factory

    return register


def names() -> list[str]:
    """The names that :func:`build` knows, beside ``package.module:factory``."""
    return sorted(_REGISTER)


def build(name: str, *, input_shape: Shape, classes: int, **arguments: object) -> Backbone:
    """Build the backbone ``name``: one of :func:`names`, or your own model as ``package.module:factory``.

    ``input_shape``: channels, height, width. Raises :class:`RecipeError` for an unknown name or argument, and for a
    model of your own that cannot be imported or is no classifier of such inputs.
    """
    if ":" in name:
        return build_own(name, input_shape, classes, arguments)
    if name not in _REGISTER:
        raise RecipeError(
            f"there is no backbone named {name!r}",
            f"Known backbones: {', '.join(names())}. Your own model is named package.module:factory.",
        )
    factory = _REGISTER[name]
    taken = set(inspect.signature(factory).parameters) - {"input_shape", "classes"}
    try:
        return factory(input_shape=input_shape, classes=classes, **arguments)
    except TypeError as error:
        hint = f"Its arguments: {', '.join(sorted(taken))}."
        raise RecipeError(f"the backbone {name!r} cannot be built: {error}", hint) from error
