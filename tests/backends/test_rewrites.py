import pytest
import torch
from torch import nn
from torch.nn import functional

from ecc_deploy.backends.rewrites import SaferOperators

X = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def operators(module: nn.Module) -> list[str]:
    with SaferOperators():
        program = torch.export.export(module.eval(), (X,), strict=False)
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("kernel", [5, 320, (4, 7)])
def test_a_window_beyond_the_image_becomes_a_mean(kernel: int | tuple[int, int]) -> None:
    pool = nn.AvgPool2d(kernel, ceil_mode=True)
    assert not any("avg_pool" in name for name in operators(pool))
    with SaferOperators():
        found = pool(X)
    torch.testing.assert_close(found, pool(X))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2},
        {"kernel_size": 3, "ceil_mode": True},
        {"kernel_size": 5, "ceil_mode": True, "padding": 1},
        {"kernel_size": 5, "ceil_mode": True, "divisor_override": 1},
    ],
)
def test_all_else_is_left_alone(options: dict[str, int]) -> None:
    assert any("avg_pool" in name for name in operators(nn.AvgPool2d(**options)))
    with SaferOperators():
        found = functional.avg_pool2d(X, **options)
    torch.testing.assert_close(found, functional.avg_pool2d(X, **options))
