"""The teacher's answers to fixed views: asked once, found again, and the right ones for what is trained on."""

from pathlib import Path

import pytest
import torch

from ecc_deploy.errors import UsageError
from ecc_deploy.progress import silent
from ecc_deploy.training.batches import Batch, Labelled, batches
from ecc_deploy.training.phase import AugmentRecipe
from ecc_deploy.training.views import Views, cache_folder, views_of

IMAGES = torch.randn(30, 2, 6, 5, generator=torch.Generator().manual_seed(3))
MOVED = AugmentRecipe(flip=True, shift=2, fill="zero", erase=2)
WEIGHT = torch.randn(60, 4, generator=torch.Generator().manual_seed(4)) / 8


class Counting:
    """A teacher that looks at every pixel; with ``mirrored`` it says the same of a mirror image."""

    def __init__(self, mirrored: bool = False) -> None:
        self.mirrored, self.asked = mirrored, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += len(x)
        seen = (x + x.flip(3)) / 2 if self.mirrored else x
        return seen.flatten(1) @ WEIGHT


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def views(teacher: Counting, recipe: AugmentRecipe = MOVED, identity: str = "it", count: int = 3) -> Views:
    return views_of(IMAGES, recipe, count, teacher, mirrored=teacher.mirrored, identity=identity, progress=silent)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("flip", [False, True])
def test_a_batch_comes_with_what_the_teacher_says_of_it(mirrored: bool, flip: bool) -> None:
    teacher = Counting(mirrored)
    recipe = MOVED.model_copy(update={"flip": flip})
    fixed = views(teacher, recipe)
    assert teacher.asked == 30 * 3 * (2 if flip and not mirrored else 1)
    data = Labelled(IMAGES, torch.arange(30))
    generator = torch.Generator().manual_seed(0)
    seen: dict[int, set[bytes]] = {}
    for _ in range(20):
        for x, y, taught in batches(data, 10, recipe, generator, views=fixed):
            assert taught is not None
            torch.testing.assert_close(taught, teacher(x), atol=5e-3, rtol=2e-3)  # kept in float16
            for image, label in zip(x, y, strict=True):
                seen.setdefault(int(label), set()).add(image.contiguous().numpy().tobytes())
    assert max(len(kinds) for kinds in seen.values()) == (6 if flip else 3)


def test_answers_are_asked_for_once(cache: Path) -> None:
    first, again = Counting(), Counting()
    one, other = views(first), views(again)
    assert (first.asked, again.asked) == (180, 0)
    assert torch.equal(one.answers, other.answers)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "change", [{"identity": "another"}, {"count": 4}, {"recipe": MOVED.model_copy(update={"shift": 1})}]
)
def test_another_teacher_or_other_views_are_asked_anew(change: dict) -> None:
    views(Counting())
    again = Counting()
    views(again, **change)
    assert again.asked > 0


def test_a_damaged_cache_says_what_to_do(cache: Path) -> None:
    views(Counting())
    (file,) = cache.iterdir()
    file.write_bytes(b"short")
    with pytest.raises(UsageError, match="cannot be kept or read") as caught:
        views(Counting())
    assert "Remove the file" in str(caught.value.hint)


def told(batch: Batch) -> torch.Tensor:
    assert batch.taught is not None
    return batch.taught


def test_workers_share_the_views_of_a_batch() -> None:
    data, fixed = Labelled(IMAGES, torch.arange(30)), views(Counting())

    def drawn(rank: int, workers: int) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(1)
        found = batches(data, 10, MOVED, generator, views=fixed, rank=rank, workers=workers)
        return [torch.cat([batch.images.flatten(1), batch.labels[:, None], told(batch)], dim=1) for batch in found]

    for whole, first, second in zip(drawn(0, 1), drawn(0, 2), drawn(1, 2), strict=True):
        assert torch.equal(whole[0::2], first)
        assert torch.equal(whole[1::2], second)
