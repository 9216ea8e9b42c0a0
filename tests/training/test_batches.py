import torch

from ecc_deploy.training.batches import Batch, Labelled, batches
from ecc_deploy.training.phase import AugmentRecipe


def test_an_epoch_sees_every_sample_once() -> None:
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    plain = AugmentRecipe(flip=False, shift=0)
    seen = [x.flatten().tolist() for x, *_ in batches(Labelled(images, torch.arange(10)), 5, plain, torch.Generator())]
    assert sorted(number for batch in seen for number in batch) == list(range(10))
    assert seen != [list(range(5)), list(range(5, 10))]


def test_workers_share_each_batch_as_one_would_have_it() -> None:
    data = Labelled(torch.randn(40, 3, 6, 6), torch.arange(40))
    recipe = AugmentRecipe(shift=2, erase=2)

    def drawn(rank: int, workers: int) -> list[Batch]:
        return list(batches(data, 8, recipe, torch.Generator().manual_seed(1), rank=rank, workers=workers))

    for (x, y, _), (first, *_), (second, labels, _) in zip(drawn(0, 1), drawn(0, 2), drawn(1, 2), strict=True):
        assert torch.equal(x[0::2], first)
        assert torch.equal(x[1::2], second)
        assert torch.equal(y[1::2], labels)
