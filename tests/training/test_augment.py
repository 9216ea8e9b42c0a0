import torch

from ecc_deploy.training.augment import augment, draw, move
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


def test_mirrored_moves_give_the_mirror_image_of_what_the_moves_give() -> None:
    images = torch.randn(50, 3, 7, 9)
    for fill in ("edge", "zero"):
        recipe = AugmentRecipe(flip=True, shift=2, fill=fill, erase=4)
        moves = draw(50, 7, 9, recipe, torch.Generator().manual_seed(0))
        assert 10 < moves.flipped.sum() < 40
        there, back = move(images, moves, recipe), move(images, moves.mirrored(), recipe)
        assert torch.equal(there.flip(3), back)
        assert not torch.equal(there, back)
