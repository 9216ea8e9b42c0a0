"""A toy bundle made of hand-written ONNX, for tests of everything that runs without a compiler.

8x8 grey images in 4 classes: class c is bright in quadrant c. The edge model looks at the quadrants' means through
noise, so that it is often unsure; the cloud model sees them exactly. The rich bundle has all that a bundle may have: a
learned gate, which is sure of what is bright on the left, fused answers, and a codec with a table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import (
    Boundary,
    Bundle,
    Deployment,
    Fusion,
    Gate,
    Half,
    InputInfo,
    Manifest,
    TensorInfo,
    hash_file,
    write_bundle,
)
from ecc_deploy.bundle.codecs import Sent
from ecc_deploy.data import Normalisation, Samples
from ecc_deploy.payload import TensorSpec
from ecc_deploy.payload.ans_table import fit

CLASSES = ("north-west", "north-east", "south-west", "south-east")
NORMALISATION = Normalisation((0.25,), (0.5,))
SCALE, BITS = 0.125, 4
GATE = np.array([1.0, -1.0, 1.0, -1.0])
IMAGE = TensorInfo(name="image", dtype="float32", shape=(1, 8, 8), layout="NCHW")
BOUNDARY = TensorInfo(name="boundary", dtype="uint8", shape=(1, 4, 4), layout="NCHW")
LOGITS = TensorInfo(name="logits", dtype="float32", shape=(4,), layout="NC")
CONFIDENCE = TensorInfo(name="confidence", dtype="float32", shape=(1,), layout="NC")
FUSION = Fusion(edge_weight=0.4, edge_temperature=2.0, cloud_temperature=3.0)
TABLE = "codec/toy.table"


def samples(count: int, seed: int = 0) -> Samples:
    """``count`` images, classes in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images = rng.integers(0, 90, (count, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] += rng.integers(20, 160, dtype=np.uint8)
    return Samples(images, labels.astype(np.int64))


def _quadrants(size: int) -> np.ndarray:
    """``[size * size, 4]``: the mean over each quadrant."""
    weights = np.zeros((4, size, size), np.float32)
    half = size // 2
    for c in range(4):
        row, column = divmod(c, 2)
        weights[c, row * half : (row + 1) * half, column * half : (column + 1) * half] = 1 / half**2
    return weights.reshape(4, -1).T


def _model(nodes: list, inputs: list[TensorInfo], outputs: list[TensorInfo], weights: dict[str, np.ndarray]) -> bytes:
    kinds = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}

    def info(t: TensorInfo) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(t.name, kinds[t.dtype], ["batch", *t.shape])

    graph = helper.make_graph(
        nodes,
        "toy",
        [info(t) for t in inputs],
        [info(t) for t in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _linear(source: str, weight: str) -> list:
    return [helper.make_node("Flatten", [source], ["flat"]), helper.make_node("MatMul", ["flat", weight], ["logits"])]


def _halves(rich: bool) -> dict[str, tuple[Half, bytes]]:
    rng = np.random.default_rng(7)
    edge_weights = {"we": (3 * _quadrants(8) + rng.normal(0, 0.12, (64, 4))).astype(np.float32)}
    head, answers = _linear("image", "we"), [LOGITS]
    if rich:
        edge_weights["wg"] = (_quadrants(8) @ GATE[:, np.newaxis]).astype(np.float32)
        head, answers = [*head, helper.make_node("MatMul", ["flat", "wg"], ["confidence"])], [LOGITS, CONFIDENCE]
    boundary_weights = {"scale": np.float32(SCALE), "zero": np.uint8(0), "top": np.uint8(2**BITS - 1)}
    boundary = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("QuantizeLinear", ["pooled", "scale", "zero"], ["codes"]),
        helper.make_node("Clip", ["codes", "", "top"], ["boundary"]),
    ]
    tail = [helper.make_node("DequantizeLinear", ["boundary", "scale", "zero"], ["feature"]), *_linear("feature", "w")]

    def half(side: str, key: str, inputs: list, outputs: list, macs: int, nodes: list, weights: dict) -> tuple:
        facts = Half(
            side=side, backend="onnxruntime", precision="fp32", file=f"{side}/{key}.onnx",
            inputs=tuple(inputs), outputs=tuple(outputs), macs=macs,
        )  # fmt: skip
        return facts, _model(nodes, inputs, outputs, weights)

    return {
        "exit": half("edge", "exit", [IMAGE], answers, 256, head, edge_weights),
        "encode": half("edge", "encode", [IMAGE], [BOUNDARY], 64, boundary, boundary_weights),
        "exit-and-encode": half(
            "edge", "exit-and-encode", [IMAGE], [*answers, BOUNDARY], 320,
            [*head, *boundary], {**edge_weights, **boundary_weights},
        ),
        "full": half("cloud", "full", [IMAGE], [LOGITS], 4096, _linear("image", "w"), {"w": 6 * _quadrants(8)}),
        "tail": half(
            "cloud", "tail", [BOUNDARY], [LOGITS], 1024, tail,
            {"w": 6 * _quadrants(4), "scale": np.float32(SCALE), "zero": np.uint8(0)},
        ),
    }  # fmt: skip


def make_bundle(out: Path, *, name: str = "toy", threshold: float = 0.75, rich: bool = False) -> Bundle:
    """Write the toy bundle at ``out``."""
    halves = _halves(rich)
    gate = Gate(score="max-softmax", threshold=threshold, offload_rate=0.5, chosen_on="toy samples")
    deployments = {
        "edge-only": Deployment(architecture="edge-only", edge="exit"),
        "cloud-only": Deployment(architecture="cloud-only", cloud="full", sends="input", codec="png"),
        "independent": Deployment(
            architecture="independent", edge="exit", cloud="full", sends="input", codec="png", gate=gate
        ),
        "adaptive": Deployment(
            architecture="adaptive", edge="encode", cloud="tail", sends="boundary", boundary="toy", codec="int4"
        ),
        "dynamic": Deployment(
            architecture="dynamic", edge="exit-and-encode", cloud="tail", sends="boundary", boundary="toy",
            codec="int4", gate=gate,
        ),
    }  # fmt: skip

    table = None
    if rich:
        from tests import reference

        deployments |= _rich(deployments)
        table = fit(reference.codes(samples(128, seed=3).images), BITS)

    def fill(folder: Path) -> Manifest:
        for side in ("edge", "cloud", "golden"):
            (folder / side).mkdir()
        if table is not None:
            (folder / TABLE).parent.mkdir()
            (folder / TABLE).write_bytes(table)
        for half, content in halves.values():
            (folder / half.file).write_bytes(content)
        _write_golden(folder, {key: half for key, (half, _) in halves.items()}, deployments, table)
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        return Manifest(
            name=name,
            created="2026-01-01T00:00:00Z",
            classes=CLASSES,
            dataset="toy",
            input=InputInfo(height=8, width=8, channels=1, mean=NORMALISATION.mean, std=NORMALISATION.std),
            boundaries={
                "toy": Boundary(tensor=BOUNDARY, bits=BITS, scale=SCALE, zero_point=0, table=TABLE if rich else None)
            },
            halves={key: half for key, (half, _) in halves.items()},
            fallback="exit",
            deployments=deployments,
            targets={"edge": "onnxruntime-cpu", "cloud": "onnxruntime-cpu"},
            calibration={},
            toolchain={"onnx": onnx.__version__},
            files={file: hash_file(folder / file) for file in files},
            golden="golden/samples.safetensors",
        )

    return write_bundle(out, fill)


def _rich(plain: dict[str, Deployment]) -> dict[str, Deployment]:
    def changed(name: str, **facts: object) -> Deployment:
        return Deployment.model_validate({**plain[name].model_dump(), **facts})

    learned = Gate(score="learned", threshold=0.1, offload_rate=0.5, chosen_on="toy samples")
    return {
        "independent": changed("independent", fusion=FUSION),
        "adaptive": changed("adaptive", codec="int4+ans"),
        "adaptive-fused": changed("adaptive", codec="int4+ans", edge="exit-and-encode", fusion=FUSION),
        "dynamic": changed("dynamic", codec="int4+ans", gate=learned, fusion=FUSION),
    }


def _write_golden(
    folder: Path, halves: dict[str, Half], deployments: dict[str, Deployment], table: bytes | None
) -> None:
    chosen = samples(4, seed=99)
    image = NORMALISATION(chosen.images)
    tensors: dict[str, np.ndarray] = {"images": chosen.images, "labels": chosen.labels}
    outputs: dict[str, dict[str, np.ndarray]] = {}
    for key in ("exit", "encode", "exit-and-encode", "full", "tail"):
        inputs = {"boundary": outputs["encode"]["boundary"]} if key == "tail" else {"image": image}
        with open_runner(folder / halves[key].file, halves[key], threads=1) as runner:
            outputs[key] = runner.run(inputs)
        tensors |= {f"half.{key}.{name}": value for name, value in outputs[key].items()}
    for name, deployment in deployments.items():
        if deployment.codec is None:
            continue
        if deployment.sends == "input":
            codec, arrays = Sent(TensorSpec("uint8", (8, 8, 1))).codec(deployment.codec), chosen.images
        else:
            codec = Sent(TensorSpec("uint8", (1, 4, 4)), table).codec(deployment.codec)
            arrays = outputs[deployment.edge or ""]["boundary"]
        for i, array in enumerate(arrays):
            tensors[f"payload.{name}.{i}"] = np.frombuffer(codec.encode(array), np.uint8)
    save_file(tensors, folder / "golden/samples.safetensors")
