"""Makes OpenVINO IR: float, or int8 by NNCF with the configuration that does best on samples held out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov
import torch
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.named import NamedHalf
from ecc_deploy.backends.openvino.options import Options
from ecc_deploy.bundle.manifest import Half
from ecc_deploy.errors import CompileError, UsageError
from ecc_deploy.zoo.backbone import evaluating

HELD_OUT = 4
"""Every so-many-th calibration batch chooses the configuration and takes no part in the ranges."""


@dataclass(frozen=True)
class _Way:
    """One way of quantizing with NNCF."""

    name: str
    preset: nncf.QuantizationPreset
    minmax: bool
    bias_correction: bool

    def advanced(self) -> AdvancedQuantizationParameters:
        found = AdvancedQuantizationParameters(disable_bias_correction=not self.bias_correction)
        if self.minmax:
            found.activations_range_estimator_params = RangeEstimatorParametersSet.MINMAX
        return found


WAYS = (
    _Way("mixed, minmax", nncf.QuantizationPreset.MIXED, True, False),
    _Way("mixed, minmax, bias correction", nncf.QuantizationPreset.MIXED, True, True),
    _Way("symmetric, minmax", nncf.QuantizationPreset.PERFORMANCE, True, False),
    _Way("NNCF's defaults", nncf.QuantizationPreset.PERFORMANCE, False, True),
)


def versions() -> dict[str, str]:
    """Versions of what compiles, by package."""
    return {name: version(name) for name in ("torch", "openvino", "nncf")}


def compile_half(source: HalfSource, folder: Path, job: Job) -> Half:
    """See :class:`~ecc_deploy.backends.interface.Compiler`. The codes of an integer boundary are made in the graph."""
    if job.precision not in ("fp32", "bf16", "fp16", "int8"):
        raise UsageError(f"OpenVINO runs fp32, bf16, fp16 and int8, not {job.precision}")
    options = job.options if isinstance(job.options, Options) else Options()
    batch = 1 if options.static_shapes else -1
    model = _convert(source, batch)
    facts: dict[str, Any] = {
        "device": options.device,
        "inference_precision": {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}.get(
            job.precision, options.inference_precision
        ),
    }
    if job.precision == "int8":
        model, facts["quantized_by"] = _quantize(model, source, job)
    _name_tensors(model, source)
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
