"""Fuzzing at length, guided by coverage: ``python -m tests.fuzz.run --seconds 60 ['decode png' ...]`` (``make fuzz``).

Each target runs in a process of its own, whose memory is bounded. What is found is written to ``fuzz-findings/``, with
the traceback on stderr and exit code 1. Needs ``atheris`` (extra ``fuzz``).
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

MEMORY_MIB = 1024
"""Of a whole process, with Python, numpy and the coverage; a decoder that is misled takes gigabytes."""
_LONGEST = 8192


def fuzz(name: str, seconds: int, findings: Path) -> None:
    """Fuzz one target in this process, which does not return from it."""
    import atheris

    with atheris.instrument_imports(include=["ecc_deploy", "safetensors", "PIL"]):
        from tests.fuzz.targets import main_targets

    target = main_targets()[name]
    corpus = Path(tempfile.mkdtemp(prefix="ecc-corpus-"))
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    longest = max(_LONGEST, *(2 * len(seed) for seed in target.seeds))
    options = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={longest}", "-timeout=20"]
    prefix = f"-artifact_prefix={findings}/{name.replace(' ', '-').replace(':', '')}-"
    atheris.Setup([sys.argv[0], *options, prefix, "-print_final_stats=1", "-verbosity=0", str(corpus)], target.run)
    atheris.Fuzz()


def main() -> int:
    """Each target in a process of its own; 1 where one of them found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed. Run: pip install 'ecc-deploy[fuzz]' (Linux on x86-64)", file=sys.stderr)
        return 2
    given.findings.mkdir(parents=True, exist_ok=True)
    if given.here:
        fuzz(given.targets[0], given.seconds, given.findings)
        return 0
    from tests.fuzz.test_targets import NAMES

    unknown = set(given.targets) - set(NAMES)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    failed = []
    for name in given.targets or NAMES:
        own = ["--here", "--seconds", str(given.seconds), "--findings", str(given.findings), name]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", *own], capture_output=True, text=True, check=False
        )
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(f"{name:28} {runs[0] if runs else '?':>10} runs  {'ok' if not done.returncode else 'FOUND SOMETHING'}")
        if done.returncode:
            failed.append(name)
            print(done.stdout + done.stderr, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
