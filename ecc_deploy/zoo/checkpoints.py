"""Weights from elsewhere: safetensors and PyTorch checkpoints, under the names that the field uses."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Backbone

PICKLED = (".pt", ".pth", ".th")
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which of its keys a checkpoint may hold the weights."""
_COUNTER = "num_batches_tracked"  # of batch normalisation; old checkpoints have none, and evaluation needs none
_SHOWN = 3


def load_weights(
    backbone: Backbone, file: str | Path, *, prefix: str = "", rename: Mapping[str, str] | None = None
) -> None:
    """Load all weights of ``backbone`` from ``file``: ``.safetensors``, or ``.pt``, ``.pth``, ``.th`` without code.

    Each key of the file goes through three steps:

    1. ``prefix``, such as ``module.``: with one, only tensors whose key starts with it are taken, without it;
    2. ``rename``, in order: where the left side stands in a key as one or more whole parts between dots, the right side
       takes its place (``{"backbone.conv1": "conv1", "shortcut": "downsample"}``);
    3. the usual names of such a network become those of ``backbone`` (:meth:`Backbone.own_key`), which are taken too.

    Every weight must then be there once, in its shape; nothing is loaded otherwise. Raises :class:`RecipeError`.
    """
    path = Path(file)
    tensors = read_checkpoint(path)
    own = backbone.state_dict()
    found: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        if not key.startswith(prefix):
            continue
        name = _renamed(key[len(prefix) :], rename or {})
        name = name if name in own else backbone.own_key(name)
        if name in found:
            raise RecipeError(f"two tensors of {path} are {name!r} by prefix and rename", "Rename one of them away.")
        found[name] = tensor
    _check(path, list(tensors), own, found)
    backbone.load_state_dict({**own, **found})


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, on the CPU, by the names in the file. Raises :class:`RecipeError`.

    A PyTorch checkpoint may hold them under one of :data:`WRAPPERS`; what else it holds is left out.
    """
    if not path.is_file():
        raise RecipeError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise RecipeError(f"{path} cannot be read as safetensors: {error}") from error
    if path.suffix not in PICKLED:
        raise RecipeError(
            f"{path} is no checkpoint by its name", f"Known are .safetensors, {', '.join(PICKLED)}, without code."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what follows as an error
            content = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        raise RecipeError(
            f"{path} would run code to be read ({wanted[1] if wanted else 'an unknown pickle'}), which is refused",
            "Save the weights alone: torch.save(model.state_dict(), FILE), or as safetensors.",
        ) from error
    except Exception as error:  # a damaged file fails in many ways
        reason = str(error).split(". ")[0] or type(error).__name__
        raise RecipeError(f"{path} is not a PyTorch checkpoint, or is damaged: {reason}") from error
    state = content
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            state = content[key]
            break
    tensors = (
        {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
        if isinstance(state, Mapping)
        else {}
    )
    if not tensors:
        held = (
            f"keys {_few([str(key) for key in state])}" if isinstance(state, Mapping) else f"a {type(state).__name__}"
        )
        raise RecipeError(f"{path} holds no weights by name, but {held}", f"They may be under {', '.join(WRAPPERS)}.")
    return tensors


def _renamed(key: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        literal = new.replace("\\", r"\\")
        key = re.sub(rf"(?<![^.]){re.escape(old)}(?![^.])", literal, key)
    return key


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _check(path: Path, keys: list[str], own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """Raise :class:`RecipeError` unless ``found`` has the names and shapes of ``own``."""
    missing = [name for name in own if name not in found and not name.endswith(_COUNTER)]
    unexpected = [name for name in found if name not in own]
    differing = [
        f"{name} ({list(tensor.shape)} in the file, {list(own[name].shape)} in the model)"
        for name, tensor in found.items()
        if name in own
        and (tensor.shape != own[name].shape or tensor.is_floating_point() != own[name].is_floating_point())
    ]
    problems = [
        f"{len(names)} {what}: {_few(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", differing))
        if names
    ]
    if not problems:
        return
    first = {key.split(".", 1)[0] for key in keys}
    shared = f" All its keys start with {first.pop() + '.'!r}." if len(first) == 1 else ""
    hint = "If the names differ, `prefix` and `rename` map the file's onto the model's."
    if differing and not missing and not unexpected:
        hint = "The names fit; the model's arguments or the number of classes are others."
    raise RecipeError(
        f"the weights in {path} do not fit the model:\n  " + "\n  ".join(problems),
        f"{hint} The file begins with {_few(keys)}.{shared}",
    )
