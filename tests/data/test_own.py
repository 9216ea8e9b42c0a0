import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy import data
from ecc_deploy.errors import DataError

Write = Callable[[str], str]

CODE = """
    import numpy as np
    from ecc_deploy import Normalisation, Samples

    class Noise:
        name = "noise"
        classes = ["quiet", "loud"]
        image_shape = [2, 3, 1]
        normalisation = Normalisation((0.5,), (0.25,))

        def __init__(self, folder=None, *, count=4):
            self.folder, self.count = folder, count

        def part(self, name):
            if name == "test":
                return Samples(np.zeros((self.count, 2, 3, 1), np.float32), np.zeros(self.count, int))
            if name == "val":
                return Samples(np.zeros((self.count, 2, 3, 1), np.uint8), np.full(self.count, 2))
            if name == "extra":
                raise KeyError("no extra")
            if name == "short":
                return Samples(np.zeros((3, 2, 3, 1), np.uint8), np.zeros(2, int))
            return Samples(np.full((self.count, 2, 3, 1), 7, np.uint8), np.ones(self.count, np.uint8))

    def failing(folder):
        return {}["here"]

    class Nothing:
        name = "nothing"

    def nothing(folder):
        return Nothing()

    def changed(folder, fact, value):
        noise = Noise()
        setattr(noise, fact, value)
        return noise

    number = 3
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes an importable module; returns its name, another one for each test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        name = f"own_{abs(hash(tmp_path))}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
        return name

    return write


def test_a_dataset_of_ones_own(write: Write, tmp_path: Path) -> None:
    own = data.load(f"{write(CODE)}:Noise", tmp_path, count=5)
    assert (own.name, own.classes, own.image_shape) == ("noise", ("quiet", "loud"), (2, 3, 1))
    assert own.normalisation == data.Normalisation((0.5,), (0.25,))
    train = own.part("train")
    assert train.images.shape == (5, 2, 3, 1)
    assert train.labels.dtype == np.int64
    assert train.labels.tolist() == [1] * 5


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("test", r"the part test of the dataset own_\d+:Noise has images float32 \[4, 2, 3, 1\]"),
        ("val", "has labels from 2 to 2, and there are 2 classes"),
        ("short", r"has labels int64 \[2\]"),
        ("extra", r"failed: KeyError: 'no extra' \(.*own_\d+\.py:20\)"),
    ],
)
def test_parts_are_checked(write: Write, part: str, message: str) -> None:
    own = data.load(f"{write(CODE)}:Noise")
    with pytest.raises(DataError, match=message):
        own.part(part)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("name", 3),
        ("classes", "ab"),
        ("classes", ["a", "a"]),
        ("image_shape", (2, 3)),
        ("image_shape", (2, 3, 2)),
        ("normalisation", (0.5, 0.5)),
        ("normalisation", data.Normalisation((0.5,) * 3, (0.5,) * 3)),
    ],
)
def test_facts_are_checked(write: Write, fact: str, value: object) -> None:
    with pytest.raises(DataError, match=rf"^{fact} of the dataset own_\d+:changed is .*, and must be"):
        data.load(f"{write(CODE)}:changed", fact=fact, value=value)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Noisy", "there is no Noisy in it"),
        ("number", "number is not callable"),
        ("failing", r"failed: KeyError: 'here' \(.*own_\d+\.py:26\)"),
        ("nothing", "made a Nothing, which has no classes and no image_shape and no normalisation and no part"),
        ("changed", "failed: TypeError: .*missing 2 required positional arguments"),
    ],
)
def test_factories_that_do_not_work(write: Write, attribute: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.load(f"{write(CODE)}:{attribute}")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import numpy.not_there", "failed: ModuleNotFoundError: No module named 'numpy.not_there'"),
        ("1 / 0", r"importing own_\d+ failed: ZeroDivisionError: division by zero \(.*\.py:1\)"),
        ("def", r"importing own_\d+ failed: SyntaxError"),
    ],
)
def test_modules_that_do_not_work(write: Write, code: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        data.load(f"{write(code)}:Noise")


@pytest.mark.parametrize("name", ["own_absent:Noise", "own_absent.deeper:Noise", "numpy.absent:Noise"])
def test_modules_that_are_absent(name: str) -> None:
    with pytest.raises(DataError, match=r"there is no module (own_|numpy\.)absent") as caught:
        data.load(name)
    assert "PYTHONPATH" in caught.value.hint


@pytest.mark.parametrize("name", [":", "a:", ":b", "a.b:c:d", "a b:c", "../a:b", "a:b.1"])
def test_names_of_another_form(name: str) -> None:
    with pytest.raises(DataError, match="does not name a dataset"):
        data.load(name)


def test_a_bundle_cannot_name_code(write: Write) -> None:
    name = f"{write('raise SystemExit')}:Noise"
    with pytest.raises(DataError, match=r"there is no dataset named 'own_\d+:Noise' here") as caught:
        data.load_for_bundle(name, (2, 3, 1), ("quiet", "loud"))
    assert "--dataset package.module:factory" in caught.value.hint


def test_arguments_that_a_dataset_does_not_take() -> None:
    with pytest.raises(DataError, match=r"cifar10 cannot be made from the given arguments: .*'size'") as caught:
        data.load("cifar10", size=3)
    assert caught.value.hint == "It takes none."
