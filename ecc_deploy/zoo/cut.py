"""Cutting any module before or behind one of its submodules, where exactly one feature map crosses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ecc_deploy.errors import RecipeError
from ecc_deploy.zoo.backbone import Shape
from ecc_deploy.zoo.part import Part, Piece
from ecc_deploy.zoo.recording import logits_of, record
from ecc_deploy.zoo.steps import INPUT, Recording, Step, UntraceableError, Value

_CHECKED_BATCH = 4
_INSTEAD = "Cut it at another module, or write it as an ecc_deploy.zoo.StagedBackbone of named stages."


@dataclass(frozen=True)
class Cut:
    """Both sides of a cut, each by training mode, and the shape of what crosses."""

    before: dict[bool, Piece]
    behind: dict[bool, Piece]
    shape: Shape


def cut(model: nn.Module, path: str, input_shape: Shape, *, is_behind: bool) -> Cut:
    """Cut ``model`` behind the submodule at ``path``, or before it.

    The cut is checked on random inputs: both sides, one after the other, give what the whole gives, bit for bit, in
    evaluation and in training mode. Raises :class:`RecipeError` where ``path`` is not run exactly once, where
    something else than one tensor ``[N, C, H, W]`` crosses, or where the model cannot be followed.
    """
    where = f"the model cannot be cut {'behind' if is_behind else 'before'} {path!r}"
    plain = torch.inference_mode(False), torch.autocast("cpu", enabled=False), torch.no_grad()
    with ExitStack() as stack:
        for context in (torch.random.fork_rng(devices=[]), *plain):
            stack.enter_context(context)
        torch.default_generator.manual_seed(0)  # of the CPU alone
        try:
            own = copy.deepcopy(model).float().cpu()
        except Exception as error:  # the code is not ours, so it raises what it likes
            raise RecipeError(f"{where}: it cannot be deep-copied: {type(error).__name__}: {error}") from error
        sides = {mode: _sides(own.train(mode), path, input_shape, is_behind, where) for mode in (True, False)}
        (before, behind, shape), evaluated = sides[True], sides[False]
        if shape != evaluated[2]:
            raise RecipeError(f"{where}: its shape is another in training than in evaluation")
        found = Cut({True: before, False: evaluated[0]}, {True: behind, False: evaluated[1]}, shape)
        return _checked(own, found, input_shape, where)


def _sides(own: nn.Module, path: str, input_shape: Shape, is_behind: bool, where: str) -> tuple[Piece, Piece, Shape]:
    target = own.get_submodule(path)
    chain = ["", *(path.rsplit(".", depth)[0] for depth in range(1, path.count(".") + 1))]
    holders = {own.get_submodule(holder) for holder in chain}
    whole = {name: module for name, module in own.named_modules() if module not in holders}
    (name,) = [name for name, module in whole.items() if module is target]
    try:
        recording = record(own, whole, input_shape)
    except UntraceableError as error:
        raise RecipeError(f"{where}: {error}", _INSTEAD) from error
    except Exception as error:  # the code is not ours, so it raises what it likes
        raise RecipeError(f"{where}: it fails on {input_shape} inputs: {type(error).__name__}: {error}") from error
    calls = [number for number, step in enumerate(recording.steps) if step.target == name]
    if len(calls) != 1:
        times = f"is run {len(calls)} times" if calls else "is never run by itself"
        raise RecipeError(f"{where}: {path} {times} for one input", "Cut at a module that is run once.")
    before, behind, shape = _split(recording, calls[0] + is_behind, where)
    crossing = behind.entry
    if crossing.step != calls[0] if is_behind else crossing not in recording.steps[calls[0]].values():
        raise RecipeError(f"{where}: only {_name(recording, crossing)} crosses there", _INSTEAD)
    return before, behind, shape


def _split(recording: Recording, position: int, where: str) -> tuple[Piece, Piece, Shape]:
    """Cut before step ``position``; steps behind it that need early ones without the input take these along."""
    early = list(enumerate(recording.steps))[:position]
    late = list(enumerate(recording.steps))[position:]
    of_input = {INPUT}
    for number, step in enumerate(recording.steps):
        if any(value.step in of_input for value in step.values()):
            of_input.add(number)
    along: dict[int, Step] = {}
    crossing: dict[Value, None] = {}
    wanted = [recording.logits] + [value for _, step in late for value in step.values()]
    while wanted:
        value = wanted.pop()
        if value.step >= position or value.step in along:
            continue
        if value.step in of_input:
            crossing[value] = None
        else:
            along[value.step] = recording.steps[value.step]
            wanted += along[value.step].values()
    if len(crossing) != 1:
        names = ", ".join(sorted(_name(recording, value) for value in crossing))
        raise RecipeError(f"{where}: {len(crossing)} tensors cross there ({names}), and it must be one", _INSTEAD)
    (entry,) = crossing
    shape = recording.shapes[entry]
    if len(shape) != 4:
        raise RecipeError(f"{where}: {list(shape[1:])} crosses per sample, and it must be [C, H, W]", _INSTEAD)
    behind = tuple(sorted([*along.items(), *late], key=lambda item: item[0]))
    return Piece(tuple(early), Value(INPUT), entry), Piece(behind, entry, recording.logits), shape[1:]


def _name(recording: Recording, value: Value) -> str:
    if value.step == INPUT:
        return "the input"
    target = recording.steps[value.step].target
    name = f"what leaves {target}" if isinstance(target, str) else f"the result of {target.__name__}"
    return f"{name} {list(recording.shapes[value][1:])}"


def _checked(own: nn.Module, found: Cut, input_shape: Shape, where: str) -> Cut:
    x = torch.randn(_CHECKED_BATCH, *input_shape, device="cpu")

    def seeded(module: Callable[[torch.Tensor], Any], given: torch.Tensor) -> Any:
        torch.default_generator.manual_seed(1)  # so that both ways drop the same elements in training
        return module(given)

    changes_entry = {}
    for mode in (True, False):
        own.train(mode)
        before, behind = Part(own, found.before), Part(own, found.behind)
        try:
            whole = logits_of(seeded(own, x))
            feature = seeded(before, x)
            version = feature._version
            parts = behind(feature)
        except Exception as error:  # such as an operation that only fitted the recorded batches
            raise RecipeError(f"{where}: {type(error).__name__}: {error}", _INSTEAD) from error
        if not torch.equal(whole, parts):
            raise RecipeError(f"{where}: both sides together do not give what the whole model gives", _INSTEAD)
        changes_entry[mode] = feature._version != version
    return replace(
        found, behind={mode: replace(piece, copies_entry=changes_entry[mode]) for mode, piece in found.behind.items()}
    )
