"""Each target for a moment: mutations of what is valid, and what was found before."""

import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import Target, make_targets

NAMES = sorted(
    [
        *("decode raw", "decode png", "decode jpeg:60", "decode webp:60", "decode webp-lossless", "decode int8"),
        *("decode int8+zstd", "decode int4+zstd", "decode int2+delta+zstd", "decode int1+zstd:9", "decode int4+ans"),
        *("decode float32+delta+zstd", "decode float16+zstd", "decode png-grey", "decode jpeg:60-grey"),
        *("decode webp-lossless-grey", "ans table", "bytes tensor", "request structure", "manifest", "bundle"),
        *("signature", "golden samples", "public key", "array file", "target", "recipe", "bench.json"),
    ]
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)), max_size=4)
"""Where, what is put there, and how many bytes it replaces."""
DEEP = 20_000


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return make_targets(tmp_path_factory.mktemp("fuzz"))


def test_every_target_is_run_and_takes_its_seeds(targets: dict[str, Target]) -> None:
    assert sorted(targets) == NAMES
    for target in targets.values():
        for seed in target.seeds:
            target.run(seed)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_mutation_is_taken_or_refused(targets: dict[str, Target], name: str) -> None:
    target = targets[name]

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(target.seeds), EDITS, st.integers(0, 40))
    def mutate(seed: bytes, edits: list[tuple[float, bytes, int]], cut: int) -> None:
        content = seed
        for where, new, replaced in edits:
            at = int(where * len(content))
            content = content[:at] + new + content[at + replaced :]
        target.run(content[: len(content) - cut] if cut < 20 else content)

    mutate()
    gc.collect()  # what a target left unclosed is told here, as an error


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff" * 40,
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b"a = " + b"[" * DEEP,
        b"a." * 200 + b"a = 1",
        b"x = 1" + b"0" * DEEP,
        b'{"schema_version": 1' + b"0" * DEEP + b"}",
        b"\xef\xbb\xbf{}",
        b'"\\ud800"',
    ],
    ids=[
        "nothing",
        "zero",
        "ones",
        "lists",
        "dicts",
        "toml-lists",
        "toml-keys",
        "toml-number",
        "number",
        "mark",
        "half",
    ],
)
def test_what_breaks_parsers(targets: dict[str, Target], name: str, content: bytes) -> None:
    targets[name].run(content)
