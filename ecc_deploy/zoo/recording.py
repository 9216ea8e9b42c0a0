"""What a module does to an image, as a list of steps: the calls of its submodules and the operations between them.

The module really runs, on random images, while a torch function mode and forward hooks write down what happens. So its
code may be any Python: decorators, containers, control flow over shapes. What a submodule does inside is its own
business. Two batch sizes are recorded and compared: numbers that follow the batch size become multiples of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ecc_deploy.zoo.steps import (
    INPUT,
    BatchMultiple,
    Constant,
    Device,
    Recording,
    Step,
    UntraceableError,
    Value,
    Weight,
    mapped,
    members,
)

BATCHES = (2, 3)
READS = {
    *("item", "tolist", "numpy", "equal", "allclose", "is_nonzero", "__contains__", "__array__"),
    *("__bool__", "__int__", "__float__", "__index__", "__complex__"),
}
"""Functions that tell Python about values; what Python then does cannot be written down."""


def logits_of(output: Any) -> torch.Tensor:
    """A model's answer: the tensor itself, or what is called ``logits`` in it. Raises :class:`UntraceableError`."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(logits, torch.Tensor):
        raise UntraceableError(f"its output is a {type(output).__name__} without logits, not a tensor")
    return logits


class _Recorder(TorchFunctionMode):
    def __init__(self, model: nn.Module, image: torch.Tensor) -> None:
        super().__init__()
        self.recording = Recording()
        self.known: dict[int, Value | Weight] = {}
        self.alive: list[torch.Tensor] = []  # so that no id is used twice
        self.of_input = {INPUT}
        self.inside: list[Step] = []
        self.handles: list[Any] = []
        named = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
        for path, tensor in named:
            self.known.setdefault(id(tensor), Weight(path))
        self._register(image, INPUT)

    def watch(self, path: str, module: nn.Module) -> None:
        """Take calls of ``module`` as one step."""

        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            self.inside.append(self._step(path, args, kwargs))

        def behind(_: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            step = self.inside.pop()
            if self.inside:
                return output
            # An output that is an input (of a dropout in evaluation mode) is told from it: in training it is another.
            given: set[int] = set()
            mapped((args, kwargs), lambda item: given.add(id(item)))
            output = mapped(output, lambda item: item.detach() if id(item) in given and _is_tensor(item) else item)
            self._add(step, output)
            return output

        self.handles.append(module.register_forward_pre_hook(before, prepend=True, with_kwargs=True))
        self.handles.append(module.register_forward_hook(behind, with_kwargs=True))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        step = self._step(func, args, kwargs)
        if name in READS and any(True for _ in step.values()):
            raise UntraceableError(f"its code reads the values of a tensor that it has computed ({name})")
        result = func(*args, **kwargs)
        if name == "__setitem__":
            self._add(Step(_set_item, step.args, {}), args[0])
        elif _holds_tensor(result):
            if name == "__get__":  # of a property, such as x.T
                step = Step(getattr, (step.args[0], func.__self__.__name__), {})
            self._add(step, result)
        return result

    def _step(self, target: str | Callable[..., Any], args: Any, kwargs: Any) -> Step:
        return Step(target, mapped(tuple(args), self._described), mapped(dict(kwargs), self._described))

    def _described(self, item: Any) -> Any:
        if not _is_tensor(item):
            return item
        return self.known[id(item)] if id(item) in self.known else Constant(item)

    def _add(self, step: Step, result: Any) -> None:
        number = len(self.recording.steps)
        self.recording.steps.append(step)
        if any(value.step in self.of_input for value in step.values()):
            self.of_input.add(number)
        self._register(result, number)

    def _register(self, item: Any, step: int, keys: tuple[str | int, ...] = ()) -> None:
        if _is_tensor(item):
            value = Value(step, keys)
            self.known[id(item)] = value
            self.alive.append(item)
            self.recording.shapes[value] = tuple(item.shape)
        else:
            for key, part in members(item):
                self._register(part, step, (*keys, key))


def _set_item(tensor: torch.Tensor, key: Any, value: Any) -> torch.Tensor:
    """Assignment to a part of a tensor, as a function that gives the tensor."""
    tensor[key] = value
    return tensor


def _is_tensor(item: Any) -> bool:
    return isinstance(item, torch.Tensor)


def _holds_tensor(item: Any) -> bool:
    return _is_tensor(item) or any(_holds_tensor(part) for _, part in members(item))


def _record(model: nn.Module, whole: Mapping[str, nn.Module], image: torch.Tensor) -> Recording:
    recorder = _Recorder(model, image)
    try:
        for path, module in whole.items():
            recorder.watch(path, module)
        with recorder:
            output = model(image)
    finally:
        for handle in recorder.handles:
            handle.remove()
    answer = recorder.known.get(id(logits_of(output)))
    if not isinstance(answer, Value) or answer.step not in recorder.of_input:
        raise UntraceableError("its logits cannot be followed back to the input")
    recorder.recording.logits = answer
    return recorder.recording


def record(model: nn.Module, whole: Mapping[str, nn.Module], input_shape: tuple[int, ...]) -> Recording:
    """Record ``model`` in its present mode, with the submodules ``whole`` (by path) as steps.

    Runs the model on the CPU; buffers such as running means may change, so give a copy.
    Raises :class:`UntraceableError`.
    """
    first, second = (_record(model, whole, torch.randn(size, *input_shape, device="cpu")) for size in BATCHES)
    if [step.target for step in first.steps] != [step.target for step in second.steps]:
        raise UntraceableError("its code takes another way for another batch or other values")
    steps = []
    for one, two in zip(first.steps, second.steps, strict=True):
        args, kwargs = _common((one.args, one.kwargs), (two.args, two.kwargs))
        steps.append(Step(one.target, args, kwargs))
    if first.logits != second.logits:
        raise UntraceableError("its logits come from another place for another batch")
    return Recording(steps, first.logits, first.shapes)


def _common(one: Any, two: Any) -> Any:
    """What two recordings agree on, with the batch size in the place of numbers that follow it."""
    if isinstance(one, tuple | list) and type(one) is type(two) and len(one) == len(two):
        parts = [_common(a, b) for a, b in zip(one, two, strict=True)]
        if hasattr(one, "_fields"):
            return type(one)(*parts)
        return parts if isinstance(one, list) else tuple(parts)
    if type(one) is dict and type(two) is dict and one.keys() == two.keys():
        return {key: _common(part, two[key]) for key, part in one.items()}
    if isinstance(one, slice) and isinstance(two, slice):
        return slice(*(_common(getattr(one, end), getattr(two, end)) for end in ("start", "stop", "step")))
    if isinstance(one, Constant) and isinstance(two, Constant):
        if one.tensor.shape == two.tensor.shape and torch.equal(one.tensor, two.tensor):
            return one
        raise UntraceableError("its code uses a tensor that was made in a way that cannot be followed")
    if isinstance(one, torch.device) and one == two:
        return Device()
    if type(one) is type(two) and (one is two or one == two):
        return one
    if isinstance(one, int | float) and isinstance(two, int | float) and one * BATCHES[1] == two * BATCHES[0]:
        times = one / BATCHES[0]
        return BatchMultiple(int(times) if times.is_integer() else times)
    raise UntraceableError(f"its code uses {one!r} for one batch and {two!r} for another")
