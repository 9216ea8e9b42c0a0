"""The real CIFAR-10, where this machine has it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecc_deploy.data.cifar10 import Cifar10


@pytest.fixture(scope="session")
def cifar10_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``cifar-10-batches-bin`` with the official files; to be read, not changed. Skips where there are none.

    They are those that ``ECC_DEPLOY_CIFAR10`` names, or are unpacked (5 s, 184 MB) by the ``unpack.py`` in the folder
    that ``ECC_DEPLOY_DATA`` names, which holds the images as lossless WebP.
    """
    if given := os.environ.get("ECC_DEPLOY_CIFAR10"):
        yield Cifar10.place(Path(given))  # it may name the folder around it
        return
    script = Path(os.environ.get("ECC_DEPLOY_DATA", "")) / "unpack.py"
    if "ECC_DEPLOY_DATA" not in os.environ or not script.is_file():
        pytest.skip("needs the real CIFAR-10: set ECC_DEPLOY_CIFAR10, or ECC_DEPLOY_DATA to a folder with unpack.py")
    folder = tmp_path_factory.mktemp("cifar10")
    try:
        subprocess.run([sys.executable, script, folder], check=True, stdout=subprocess.DEVNULL)
        yield folder / "cifar-10-batches-bin"
    finally:
        shutil.rmtree(folder)
