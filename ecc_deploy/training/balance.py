"""From several objectives to one gradient: the weighted sum, or the Pareto descent direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ecc_deploy.training.phase import BalanceRecipe
from ecc_deploy.training.workers import Workers

_NOTHING = 1e-12
"""Squared length below which a gradient counts as zero: its objective is satisfied."""


def min_norm_weights(gramian: torch.Tensor) -> torch.Tensor:
    """``α`` on the simplex that minimises ``‖Σ αᵢ gᵢ‖²``, for the Gramian ``[k, k]`` of the gradients; ``[k]``.

    Closed form for two (Sener and Koltun 2018, equation 4), torchjd's MGDA for more (Frank-Wolfe).
    """
    count = len(gramian)
    if count == 1:
        return torch.ones_like(gramian[0])
    if count == 2:
        apart = gramian[0, 0] + gramian[1, 1] - 2 * gramian[0, 1]
        first = ((gramian[1, 1] - gramian[0, 1]) / apart.clamp(min=torch.finfo(gramian.dtype).tiny)).clamp(0, 1)
        return torch.stack([first, 1 - first])
    from torchjd.aggregation import MGDAWeighting

    weights: torch.Tensor = MGDAWeighting(epsilon=1e-5, max_iters=250)(gramian)
    return weights


def set_gradients(
    objectives: Mapping[str, torch.Tensor],
    parameters: Sequence[torch.Tensor],
    recipe: BalanceRecipe,
    workers: Workers,
) -> dict[str, float]:
    """Set ``.grad`` of the parameters from the objectives; returns the weight that each objective got.

    ``pareto``: parameters that only one objective reaches get its gradient. On the shared ones the weights are ``k·α``
    with ``α`` of the min-norm point and ``k`` objectives, so that equal weights are the plain sum. An objective whose
    gradient is zero, as a rate below its budget, is left out: it is satisfied, and with it the min-norm point would
    be zero for all.
    """
    for parameter in parameters:
        parameter.grad = None
    if recipe.method == "fixed" or len(objectives) == 1:
        torch.autograd.backward(torch.stack(list(objectives.values())).sum())
        workers.average(parameter.grad for parameter in parameters)
        return dict.fromkeys(objectives, 1.0)

    gradients: dict[str, list[torch.Tensor | None]] = {}
    for name, value in objectives.items():
        gradients[name] = list(torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True))
        workers.average(gradients[name])
    values = {name: value.detach().clone() for name, value in objectives.items()}
    workers.average(values.values())  # else each worker would weigh by the losses of its own share
    weights = _pareto_weights(gradients, values, recipe)
    for index, parameter in enumerate(parameters):
        reaching = {name: here for name, found in gradients.items() if (here := found[index]) is not None}
        total = torch.zeros_like(parameter)
        for name, gradient in reaching.items():
            total.add_(gradient, alpha=weights[name] if len(reaching) > 1 else 1.0)
        parameter.grad = total if reaching else None
    return weights


def _pareto_weights(
    gradients: Mapping[str, list[torch.Tensor | None]], objectives: Mapping[str, torch.Tensor], recipe: BalanceRecipe
) -> dict[str, float]:
    names = list(gradients)
    reached = torch.tensor([[g is not None for g in gradients[name]] for name in names])
    shared = (reached.sum(0) > 1).nonzero().flatten().tolist()
    weights = dict.fromkeys(names, 1.0)
    if not shared:
        return weights

    def product(a: str, b: str) -> torch.Tensor:
        pairs = [(gradients[a][i], gradients[b][i]) for i in shared]
        terms = [(x.double() * y.double()).sum() for x, y in pairs if x is not None and y is not None]
        return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)

    gramian = torch.stack([torch.stack([product(a, b) for b in names]) for a in names]).cpu()
    active = [i for i in range(len(names)) if gramian[i, i] > _NOTHING]
    if not active:
        return weights
    gramian = gramian[active][:, active]
    scale = _scale(gramian, [objectives[names[i]].item() for i in active], recipe)
    alpha = min_norm_weights(gramian / torch.outer(scale, scale)) / scale
    # Back to the size of the plain sum: the direction is the QP's, the step is the schedule's.
    alpha = alpha * (len(active) / alpha.sum())
    return weights | {names[i]: float(value) for i, value in zip(active, alpha, strict=True)}


def _scale(gramian: torch.Tensor, values: list[float], recipe: BalanceRecipe) -> torch.Tensor:
    """What each gradient is divided by."""
    if recipe.normalise == "norm":
        return gramian.diagonal().sqrt()
    if recipe.normalise == "loss":
        return torch.tensor(values, dtype=gramian.dtype).abs().clamp(min=1e-6)
    return torch.ones(len(gramian), dtype=gramian.dtype)
