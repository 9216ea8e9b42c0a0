"""LiteRT's interpreter, from whichever package has it, opened without its notes on stderr."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ecc_deploy.backends.quiet import quiet

if find_spec("ai_edge_litert"):
    from ai_edge_litert import interpreter as litert
else:
    from tflite_runtime import interpreter as litert


def open_interpreter(content: bytes, threads: int = 1, *, shows_all: bool = False) -> Any:
    """An interpreter of the .tflite file ``content``, with its tensors allocated, and XNNPACK where the runtime has it.

    ``shows_all``: every tensor can be read after a run. That is by LiteRT's own kernels: XNNPACK keeps what is inside.
    Raises ValueError and RuntimeError for what is no such file, or has an operator that the runtime does not know.
    """
    options: dict[str, Any] = {}
    if shows_all:
        options = {
            "experimental_preserve_all_tensors": True,
            "experimental_op_resolver_type": litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        }
    with quiet():
        interpreter = litert.Interpreter(model_content=content, num_threads=threads, **options)
        interpreter.allocate_tensors()
    return interpreter
