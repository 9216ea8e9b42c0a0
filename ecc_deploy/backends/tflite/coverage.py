"""What LiteRT does with a file here: how much of it XNNPACK takes, and what is left to the slower kernels."""

from __future__ import annotations

from collections import Counter

from ecc_deploy.backends.tflite.interpreter import open_interpreter

Facts = dict[str, str | int | float | bool | tuple[str, ...]]


def coverage(content: bytes) -> Facts:
    """Facts on the operators of a .tflite file.

    * ``operators``, ``transposes``: how many there are;
    * ``delegated``, ``partitions``: how many XNNPACK takes, and in how many pieces. Between two pieces the answer is
      handed over, so that one piece is best;
    * ``not_delegated``: the operators that it leaves, as ``NAME xCOUNT``.
    """
    interpreter = open_interpreter(content)
    nodes = interpreter._get_ops_details()  # the only way to the graph; the public API shows tensors alone
    pieces = [node for node in nodes if node["op_name"] == "DELEGATE"]
    plain = [node for node in nodes if node["op_name"] != "DELEGATE"]
    makers = {int(output): place for place, node in enumerate(plain) for output in node["outputs"]}
    taken: set[int] = set()
    for piece in pieces:
        entries = set(map(int, piece["inputs"]))
        todo = [int(output) for output in piece["outputs"]]
        while todo:
            place = makers.get(todo.pop())
            if place is not None and place not in taken:
                taken.add(place)
                todo += [int(i) for i in plain[place]["inputs"] if int(i) not in entries]
    left = Counter(node["op_name"] for place, node in enumerate(plain) if place not in taken)
    return {
        "operators": len(plain),
        "transposes": sum(node["op_name"] == "TRANSPOSE" for node in plain),
        "delegated": len(taken),
        "partitions": len(pieces),
        "not_delegated": tuple(f"{name} x{count}" for name, count in sorted(left.items())),
    }
