"""A model to plan for, by its name: of the zoo, of the user's own code, or an archive of torch.export."""

from __future__ import annotations

import inspect
from pathlib import Path

import torch
from torch import nn

from ecc_deploy.errors import UsageError
from ecc_deploy.own_code import blamed, import_factory
from ecc_deploy.partition.graph import Graph, export
from ecc_deploy.zoo import registry

ARCHIVE = ".pt2"


def load_graph(name: str, input_shape: tuple[int, int, int], classes: int = 10) -> Graph:
    """The graph of the model ``name`` for images ``input_shape`` ``(C, H, W)``.

    ``name``: a backbone of the zoo; ``package.module:factory``, which is given ``classes``, ``num_classes`` and
    ``input_shape`` where it has parameters of these names; or the path of a ``.pt2`` file, whose images are its own
    (PyTorch reads it: load only files that you trust).

    Raises :class:`UsageError` for a name that is none of these, and where the model cannot be made or exported.
    """
    if name.endswith(ARCHIVE):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
        with blamed(f"reading {path}", UsageError):
            program = torch.export.load(path)
        return Graph(program)
    if ":" in name:
        return export(_own(name, input_shape, classes), input_shape)
    if name not in registry.names():
        raise UsageError(
            f"there is no model {name!r}",
            f"Name one of the zoo ({', '.join(registry.names())}), your own as package.module:factory, or a {ARCHIVE} "
            "file of torch.export.",
        )
    return export(registry.build(name, input_shape=input_shape, classes=classes), input_shape)


def _own(name: str, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
    factory = import_factory(name, "model", UsageError)
    try:
        parameters = set(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        parameters = set()
    facts = {"num_classes": classes, "classes": classes, "input_shape": input_shape}
    with blamed(f"the model {name}", UsageError):
        model = factory(**{key: value for key, value in facts.items() if key in parameters})
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name} made a {type(model).__name__}, and must make a torch.nn.Module")
    return model
