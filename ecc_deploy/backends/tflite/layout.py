"""In which order the dimensions of a .tflite file's tensors are: images in NHWC, or as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

Node = Mapping[str, Any]
TO_NHWC, FROM_NHWC = [0, 2, 3, 1], [0, 3, 1, 2]
IMAGES = {
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
}
"""Operators whose results are always NHWC."""


def channels_last(nodes: Iterable[Node], entries: Collection[int], constant: Callable[[int], np.ndarray]) -> set[int]:
    """Numbers of the tensors that are in NHWC, of those with four dimensions.

    ``entries``: inputs of the file, which are; ``constant``: gives the value of one.
    """
    found = set(entries)
    for node in nodes:
        if node["op_name"] == "TRANSPOSE":
            is_nhwc = _permutation(node, constant) == TO_NHWC
        else:
            is_nhwc = node["op_name"] in IMAGES or any(int(number) in found for number in node["inputs"])
        if is_nhwc:
            found |= {int(number) for number in node["outputs"]}
    return found


def without_transposes(nodes: Iterable[Node], constant: Callable[[int], np.ndarray]) -> list[Node]:
    """The same graph as if there were one order only: what takes a tensor in the other one takes the tensor itself."""
    same: dict[int, int] = {}
    kept: list[Node] = []
    for node in nodes:
        inputs = [same.get(int(number), int(number)) for number in node["inputs"]]
        if node["op_name"] == "TRANSPOSE" and _permutation(node, constant) in (TO_NHWC, FROM_NHWC):
            same[int(node["outputs"][0])] = inputs[0]
        else:
            kept.append({**node, "inputs": inputs})
    return kept


def _permutation(node: Node, constant: Callable[[int], np.ndarray]) -> list[int]:
    order: list[int] = constant(int(node["inputs"][1])).tolist()
    return order
