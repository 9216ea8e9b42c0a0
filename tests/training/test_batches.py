import torch

from ecc_deploy.training.batches import Labelled, augment, batches
from ecc_deploy.training.phase import AugmentRecipe


def test_augmentation_flips_and_shifts_whole_images() -> None:
    image = torch.zeros(64, 2, 6, 6)
    image[:, 0, 2, 1] = 1
    image[:, 1] = 5
    moved = augment(image, AugmentRecipe(flip=True, shift=1), torch.Generator().manual_seed(0))
    assert moved.shape == image.shape
    assert moved[:, 0].sum((1, 2)).tolist() == [1.0] * 64  # one bright pixel, inside, wherever it went
    assert bool((moved[:, 1] == 5).all())  # channels stay apart
    columns = set(moved[:, 0].flatten(1).argmax(1).remainder(6).tolist())
    assert columns == {0, 1, 2, 3, 4, 5}  # 1 ± 1, and mirrored 4 ± 1


def test_an_epoch_sees_every_sample_once() -> None:
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    plain = AugmentRecipe(flip=False, shift=0)
    seen = [x.flatten().tolist() for x, _ in batches(Labelled(images, torch.arange(10)), 5, plain, torch.Generator())]
    assert sorted(number for batch in seen for number in batch) == list(range(10))
    assert seen != [list(range(5)), list(range(5, 10))]


def test_zero_fill_and_erased_squares() -> None:
    image = torch.ones(200, 1, 8, 8)
    moved = augment(image, AugmentRecipe(flip=False, shift=3, fill="zero"), torch.Generator().manual_seed(0))
    kept = moved.sum((1, 2, 3))
    assert kept.max() == 64
    assert kept.min() == 25  # moved by 3 both ways: 5 x 5 are left
    erased = augment(image, AugmentRecipe(flip=False, shift=0, erase=4), torch.Generator().manual_seed(0))
    holes = 64 - erased.sum((1, 2, 3))
    assert holes.max() == 16
    assert holes.min() == 4  # a square whose centre is a corner of the image


def test_workers_share_each_batch_as_one_would_have_it() -> None:
    data = Labelled(torch.randn(40, 3, 6, 6), torch.arange(40))
    recipe = AugmentRecipe(shift=2, erase=2)

    def drawn(rank: int, workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(batches(data, 8, recipe, torch.Generator().manual_seed(1), rank=rank, workers=workers))

    for (x, y), (first, _), (second, labels) in zip(drawn(0, 1), drawn(0, 2), drawn(1, 2), strict=True):
        assert torch.equal(x[0::2], first)
        assert torch.equal(x[1::2], second)
        assert torch.equal(y[1::2], labels)
