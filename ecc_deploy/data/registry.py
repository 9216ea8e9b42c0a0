"""Datasets by name: those that are built in, those that were registered, and ``package.module:factory``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ecc_deploy.data.interface import _REGISTER, Dataset, DatasetInfo
from ecc_deploy.data.own import load_own
from ecc_deploy.errors import DataError

_BUILTIN = {
    "cifar10": "ecc_deploy.data.cifar10",
    "fashion-mnist": "ecc_deploy.data.fashion_mnist",
    "fashion-mnist-sample": "ecc_deploy.data.fashion_mnist",
    "image-folder": "ecc_deploy.data.image_folder",
}


def names() -> list[str]:
    """The names that :func:`load` takes, beside ``package.module:factory``."""
    return sorted({*_BUILTIN, *_REGISTER})


def registered(name: str) -> Callable[..., Dataset]:
    """What makes the dataset ``name``. Raises :class:`DataError` for an unknown name."""
    if name not in _REGISTER and name in _BUILTIN:
        importlib.import_module(_BUILTIN[name])
    if name not in _REGISTER:
        raise DataError(
            f"there is no dataset named {name!r}",
            f"Known datasets: {', '.join(names())}. One of your own is named package.module:factory.",
        )
    return _REGISTER[name]


def load(name: str, folder: str | Path | None = None, **arguments: Any) -> Dataset:
    """Return the dataset ``name``, its files in ``folder`` (each dataset has a default place).

    ``name`` is one of :func:`names`, or ``package.module:factory``: importable code of the user's own that is called
    as ``factory(folder, **arguments)`` and returns a :class:`Dataset`. Raises :class:`DataError` for an unknown name,
    for arguments that the dataset does not take, and for a factory that fails or makes something else.
    """
    folder = None if folder is None else Path(folder)
    if ":" in name:
        return load_own(name, folder, arguments)
    factory = registered(name)
    try:
        inspect.signature(factory).bind(folder, **arguments)
    except TypeError as error:
        taken = [key for key in inspect.signature(factory).parameters if key != "folder"]
        raise DataError(
            f"the dataset {name} cannot be made from the given arguments: {error}",
            f"It takes {', '.join(taken)}." if taken else "It takes none.",
        ) from error
    return factory(folder, **arguments)


def load_for_bundle(
    name: str, image_shape: tuple[int, int, int], classes: Sequence[str], folder: str | Path | None = None
) -> Dataset:
    """Return the dataset that a bundle names.

    One that takes ``size``, ``channels`` and ``classes``, as image-folder does, gets the bundle's: ``image_shape`` is
    (height, width, channels). A bundle is data that may come from elsewhere, so ``package.module:factory`` is not
    imported on its word. Raises :class:`DataError`.
    """
    try:
        factory = registered(name)
    except DataError as error:
        raise DataError(
            f"there is no dataset named {name!r} here",
            "A bundle only names its dataset. Give one of your own by `--dataset package.module:factory`, in Python by "
            f"`dataset=`. Known datasets: {', '.join(names())}.",
        ) from error
    wanted = {"size": image_shape[:2], "channels": image_shape[2], "classes": classes}
    takes = wanted.keys() <= inspect.signature(factory).parameters.keys()
    return load(name, folder, **(wanted if takes else {}))


def list_datasets() -> list[DatasetInfo]:
    """All datasets that come with ecc-deploy: what they hold, where they are expected, whether they are there."""
    factories = [registered(name) for name in names()]
    return [factory.info() for factory in factories if hasattr(factory, "info")]
