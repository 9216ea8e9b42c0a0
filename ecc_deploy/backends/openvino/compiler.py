"""Makes OpenVINO IR: float, or int8 by NNCF with the configuration that does best on samples held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
from nncf.quantization.range_estimator import (
    AggregatorType,
    RangeEstimatorParameters,
    RangeEstimatorParametersSet,
    StatisticsCollectorParameters,
    StatisticsType,
)

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.onnx_graph import float_name, nodes_of, only_for, to_onnx
from ecc_deploy.backends.openvino.graph import made_of, number_anew, read_graph, with_codes
from ecc_deploy.backends.openvino.options import Options
from ecc_deploy.backends.openvino.signal_stack import kept_signal_stack
from ecc_deploy.backends.quiet import quiet
from ecc_deploy.bundle.manifest import CONFIDENCE, LOGITS, Half
from ecc_deploy.errors import CompileError, UsageError
from ecc_deploy.quantization.products import has_outliers
from ecc_deploy.quantization.ranges import RangeMethod

HELD_OUT = 4
"""Every so-many-th calibration batch chooses the configuration and takes no part in the ranges."""
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Way:
    """One way of quantizing with NNCF."""

    name: str
    preset: nncf.QuantizationPreset
    bias_correction: bool

    def advanced(self, ranges: RangeMethod) -> AdvancedQuantizationParameters:
        """NNCF's parameters, its ranges found by ``ranges`` as near as NNCF has it."""
        found = AdvancedQuantizationParameters(disable_bias_correction=not self.bias_correction)
        found.activations_range_estimator_params = _estimator(ranges)
        return found


WAYS = (
    Way("mixed", nncf.QuantizationPreset.MIXED, bias_correction=False),
    Way("mixed, bias correction", nncf.QuantizationPreset.MIXED, bias_correction=True),
    Way("symmetric", nncf.QuantizationPreset.PERFORMANCE, bias_correction=False),
    Way("symmetric, bias correction", nncf.QuantizationPreset.PERFORMANCE, bias_correction=True),
)
"""No one of them is best for all networks: bias correction cost a ResNet-20 half its signal-to-noise ratio and helped a
MobileNetV3."""


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {name: version(name) for name in ("torch", "onnx", "onnxscript", "openvino", "nncf")}


@kept_signal_stack()
def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`. The codes of an integer boundary are made in the graph."""
    if job.precision not in ("fp32", "bf16", "fp16", "int8"):
        raise UsageError(f"OpenVINO runs fp32, bf16, fp16 and int8, not {job.precision}")
    options = job.options if isinstance(job.options, Options) else Options()
    graph = to_onnx(source)
    try:
        model = read_graph(graph, f"the {source.side} half {source.key!r}")
        model.reshape({float_name(source, t.name): [-1, *t.shape] for t in source.inputs})
        facts: dict[str, Any] = {
            "device": options.device,
            "inference_precision": HINTS.get(job.precision, options.inference_precision),
        }
        if job.precision == "int8":
            kept = made_of(model, graph, {*only_for(graph, CONFIDENCE), *nodes_of(graph, job.exclude)})
            with quiet():
                model, facts["quantization"] = _quantize(model, source, job, kept)
        if options.static_shapes:  # last, because calibration runs whole batches
            model.reshape({float_name(source, t.name): [1, *t.shape] for t in source.inputs})
        if source.boundary is not None and source.boundary.scale is not None:
            model = with_codes(model, source.side, source.boundary)
    except RuntimeError as error:
        raise CompileError(
            f"OpenVINO cannot take the {source.side} half {source.key!r}: {error}",
            "The message names the operator; `--precision fp32` says whether quantization is what fails.",
        ) from error
    number_anew(model)
    file = f"{source.side}/{source.key}.xml"
    (folder / source.side).mkdir(parents=True, exist_ok=True)
    ov.save_model(model, folder / file, compress_to_fp16=False)
    return Half(
        side=source.side,
        backend="openvino",
        precision=job.precision,
        file=file,
        inputs=source.inputs,
        outputs=source.outputs,
        batch=1 if options.static_shapes else "dynamic",
        macs=source.macs,
        compiled=facts,
    )


def _quantize(model: ov.Model, source: HalfSource, job: Job, kept: list[str]) -> tuple[ov.Model, str]:
    """The best of :data:`WAYS` on what is held out, and its name. ``kept``: operations that stay float."""
    batches = [{float_name(source, name): values for name, values in batch.items()} for batch in job.calibration]
    held_out = batches[:: min(HELD_OUT, len(batches))]
    seen = [batch for batch in batches if not any(batch is other for other in held_out)] or batches
    wanted = _answers(model, held_out)
    scope = nncf.IgnoredScope(names=kept)
    samples = [
        {n: v[i : i + 1] for n, v in batch.items()} for batch in seen for i in range(len(next(iter(batch.values()))))
    ]
    found: list[tuple[float, Way, ov.Model]] = []
    for way in WAYS:
        quantized = nncf.quantize(
            model.clone(),
            nncf.Dataset(samples),
            preset=way.preset,
            subset_size=len(samples),
            ignored_scope=scope,
            model_type=nncf.ModelType.TRANSFORMER if has_outliers(source.module) else None,
            advanced_parameters=way.advanced(job.ranges),
        )
        found.append((_likeness(wanted, _answers(quantized, held_out)), way, quantized))
    _, best, chosen = max(found, key=lambda item: item[0])
    return chosen, best.name


def _answers(model: ov.Model, batches: Sequence[Arrays]) -> dict[str, np.ndarray]:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = [compiled(batch) for batch in batches]
    names = [next(iter(port.names)) for port in compiled.outputs]
    return {name: np.concatenate([row[name] for row in rows]) for name in names}


def _likeness(wanted: Arrays, found: Arrays) -> float:
    """How near the quantized answers are: the share of equal classes, where there are any; then the signal-to-noise
    ratio of the output that is furthest off, in thousands of decibels so that it only decides between equals.
    """
    ratios = []
    for name, value in wanted.items():
        noise = float(np.square(value - found[name]).sum())
        ratios.append(10 * np.log10(float(np.square(value).sum()) / max(noise, 1e-30)))
    agree = 0.0
    if LOGITS in wanted:
        agree = float((wanted[LOGITS].argmax(1) == found[LOGITS].argmax(1)).mean())
    return agree + min(ratios) / 1000


def _estimator(ranges: RangeMethod) -> RangeEstimatorParameters:
    match ranges.method:
        case "minmax":
            return RangeEstimatorParametersSet.MINMAX
        case "mse":
            return RangeEstimatorParametersSet.HISTOGRAM
        case "percentile":
            end = StatisticsCollectorParameters(
                statistics_type=StatisticsType.QUANTILE,
                aggregator_type=AggregatorType.MEAN,
                quantile_outlier_prob=(1 - ranges.percentile / 100) / 2,
            )
            return RangeEstimatorParameters(min=end, max=end)
        case _:
            raise UsageError(
                f"NNCF finds ranges by minmax, percentile and mse, not by {ranges.method}", "Use another calibration."
            )
