"""Answers of a file that is for an Intel GPU or NPU, by the CPU in float32: for accuracy, never for times."""

from __future__ import annotations

from ecc_deploy.backends.openvino import runner
from ecc_deploy.bundle.manifest import Half


class Runner(runner.Runner):
    """One compiled model on the CPU, whatever the half is for."""

    @staticmethod
    def _device(half: Half) -> str:
        return "CPU"

    @staticmethod
    def _precision(half: Half) -> str:
        return "f32"
