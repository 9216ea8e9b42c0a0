"""Answers of a file that is for another execution provider, by the CPU: for accuracy, never for times."""

from __future__ import annotations

from ecc_deploy.backends.onnxruntime import runner
from ecc_deploy.bundle.manifest import Half


class Runner(runner.Runner):
    """One ONNX Runtime session on the CPU, whatever the half is for."""

    @staticmethod
    def _providers(half: Half) -> list[str]:
        return [runner.CPU]
