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
