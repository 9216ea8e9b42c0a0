"""Stochastic weight averaging (Izmailov et al. 2018): a phase ends with the mean of where its epochs ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn


class WeightAverage:
    """The running mean of the parameters of ``modules``."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = nn.ModuleList(modules)
        self._mean = AveragedModel(self._modules)

    def add(self) -> None:
        """Take the parameters as they are now into the mean."""
        self._mean.update_parameters(self._modules)

    @torch.no_grad()
    def take(self, run: Callable[[torch.Tensor], object], images: Iterable[torch.Tensor]) -> None:
        """Give the modules the mean, and batch norm the statistics that belong to it.

        ``run`` sends one batch through the modules; ``images``: training batches, as they are trained on.
        """
        for own, mean in zip(self._modules.parameters(), self._mean.module.parameters(), strict=True):
            own.copy_(mean)
        update_bn(images, _Running(self._modules, run))

    def state(self) -> dict:
        """What :meth:`restore` goes on from."""
        return self._mean.state_dict()

    def restore(self, state: dict) -> None:
        """Go on where :meth:`state` was taken."""
        self._mean.load_state_dict(state)


class _Running(nn.Module):
    """The modules as one, for :func:`torch.optim.swa_utils.update_bn`."""

    def __init__(self, modules: nn.ModuleList, run: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.parts = modules
        self._run = run

    def forward(self, x: torch.Tensor) -> object:
        return self._run(x)
