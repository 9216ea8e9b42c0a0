"""A place for faults, shared by the tests of one file."""

import sys
from collections.abc import Iterator

import pytest

from ecc_deploy.bundle import Bundle
from tests.faults.children import Place, place
from tests.faults.truth import Truth, make_truth

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["test_*.py"]  # /proc and SIGSTOP as Linux has them


@pytest.fixture(scope="package")
def truth() -> Truth:
    return make_truth(60)


@pytest.fixture(scope="package")
def somewhere(rich_bundle: Bundle) -> Iterator[Place]:
    with place(rich_bundle.path) as made:
        yield made
