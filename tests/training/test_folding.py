"""What a folded model keeps and what it changes."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from ecc_deploy.training.folding import folded
from ecc_deploy.zoo.registry import build


def with_statistics(module: nn.Module) -> nn.Module:
    """``module`` with running statistics and affine parameters that a fold must take into account."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_a_folded_residual_network_answers_as_before_without_normalisation() -> None:
    model = with_statistics(build("cifar-resnet", input_shape=(3, 32, 32), classes=10, depth=8))
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        wanted = model(x)
        found = folded(model)(x)
    assert norms(model) == 7
    assert norms(folded(model)) == 0
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_original_keeps_its_weights_and_its_mode() -> None:
    model = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy = folded(model)
    assert model.training
    assert not copy.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_what_cannot_be_folded_stays() -> None:
    apart = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    of_batch = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    parametrised = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
    x = torch.randn(2, 3, 8, 8)
    for model in (apart, of_batch, parametrised):
        model.eval()
        assert norms(folded(model)) == 1
        with torch.no_grad():
            torch.testing.assert_close(folded(model)(x), model(x))
