"""The edge halves on an emulated Arm board, against this machine: the same payloads, the same answers.

Every target that names a CPU of qemu-user (``device.emulated_as``) is exported from the shipped Fashion-MNIST system;
targets whose files are the same are exported once. The wheel of this checkout, with aarch64 wheels of its runtimes,
then runs self-test and all deployments on every such CPU, with the cloud half served here. See docs/targets.md.

    python .ci/arm_check.py            # exit code 0: agrees, or SKIPPED with a reason; 1: does not
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arm_compare import Difference, compare, limits_of, load_answers
from arm_userland import CommandError, Cpu, UnavailableError, Userland, pip_install, run

import ecc_deploy as ecc
from ecc_deploy.backends.registry import BACKENDS, missing
from ecc_deploy.bundle.codecs import sent

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".arm"
DEVICE = Path(__file__).resolve().parent / "arm_device.py"
SYSTEM = "shipped:fashion-mnist"
DATASET = "fashion-mnist-sample"  # embedded: nothing is fetched


@dataclass(frozen=True)
class Case:
    """Targets for which the same files are compiled."""

    targets: tuple[ecc.Target, ...]
    precision: str

    @property
    def title(self) -> str:
        names = ", ".join(target.name for target in self.targets)
        return f"{BACKENDS[self.targets[0].backend].title} {self.precision} ({names})"


def cases(targets: Sequence[ecc.Target], precision: str | None) -> list[Case]:
    """Group the targets that can be emulated by what is compiled for them. ``precision``: instead of the target's."""
    groups: dict[str, list[ecc.Target]] = {}
    for target in targets:
        if target.device.emulated_as is not None and "edge" in target.sides:
            chosen = precision or target.default_precision
            if chosen in target.precisions:
                groups.setdefault(json.dumps([target.backend, chosen, target.options]), []).append(target)
    return [Case(tuple(group), json.loads(key)[1]) for key, group in groups.items()]


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:.0f} s", flush=True)


class Check:
    """The wheel and the test images, in the folder ``work``, and the userland to run them in."""

    def __init__(self, work: Path, machine: Userland, extras: Sequence[str], images: int) -> None:
        self.work, self.machine = work, machine
        with timed("Wheel"):
            run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", work], cwd=ROOT)
            (wheel,) = work.glob("*.whl")
            self.own = work / "own"
            pip_install("--no-deps", "--no-index", "--target", self.own, wheel)
        with timed("Its dependencies for aarch64"):
            self.site = machine.site_packages(wheel, extras, ROOT / "constraints.txt")
        self.images = work / "images.npy"
        np.save(self.images, ecc.load_dataset(DATASET).part("test").images[:images])

    def export(self, case: Case) -> ecc.Bundle:
        """Export the case's bundle, in a process of its own: converters change what they run in."""
        folder = self.work / f"{case.targets[0].name}-{case.precision}"
        words = ("export", SYSTEM, "--out", folder, "--target", case.targets[0].name, "--precision", case.precision)
        with timed(f"Export for {case.targets[0].name}"):
            run([sys.executable, "-m", "ecc_deploy", *words, "--dataset", DATASET], cwd=ROOT)
        return ecc.open_bundle(folder)

    def run(self, bundle: ecc.Bundle, address: str, cpu: Cpu | None) -> tuple[dict[str, Any], Path]:
        """Let ``cpu``, this machine's where it is None, answer the images; facts, and the file of answers."""
        out = self.work / f"{bundle.path.name}-{cpu.name if cpu else 'here'}.safetensors"
        program = (DEVICE, bundle.path, self.images, address, out)
        if cpu is None:
            printed = run([sys.executable, *program], env={**os.environ, "PYTHONPATH": str(self.own)})
        else:
            printed = self.machine.run(cpu, program, path=[self.own, self.site])
        return json.loads(printed.splitlines()[-1]), out


def check(case: Case, cpus: Sequence[Cpu], job: Check) -> bool:
    """Run one case here and on every CPU, print what was found; whether all of it is within the limits."""
    bundle = job.export(case)
    agrees = True
    with ecc.Server([bundle]) as server:
        address = f"127.0.0.1:{server.port}"
        facts, here = job.run(bundle, address, None)
        print(f"\n{case.title}\n  this machine: {_described(facts)}")
        for cpu in cpus:
            dot = "8-bit dot product" if "asimddp" in cpu.features else "no 8-bit dot product"
            print(f"  {cpu.name} ({dot}):", end=" ", flush=True)
            try:
                facts, there = job.run(bundle, address, cpu)
            except CommandError as error:
                print(f"FAILED\n{error}")
                agrees = False
                continue
            print(f"{_described(facts)}; self-test passed; {facts['seconds']:.0f} s emulated")
            agrees &= _compare(case, bundle, here, there)
    return agrees


def _compare(case: Case, bundle: ecc.Bundle, here: Path, there: Path) -> bool:
    ours, theirs = load_answers(here), load_answers(there)
    print(f"    {'deployment':<16}{'sent':>8}{'other bytes':>13}{'other codes':>19}{'largest step':>14}{'logits':>10}")
    agrees = True
    for name, deployment in bundle.manifest.deployments.items():
        codec = sent(bundle, deployment.boundary).codec(deployment.codec) if deployment.codec else None
        decode = codec.decode if codec else None
        limits = limits_of(case.targets[0].backend, case.precision, deployment.sends)
        found = compare(ours[name], theirs[name], decode, limits)
        print(_row(name, found))
        for what in found.wrong:
            print(f"      DIFFERS: {what}")
        agrees &= not found.wrong
    return agrees


def _row(name: str, found: Difference) -> str:
    sent_by_both = f"{found.sent}/{found.images}"
    codes = f"{found.other_codes:,} of {found.codes:,}"
    return (
        f"    {name:<16}{sent_by_both:>8}{found.other_bytes:>13}{codes:>19}{found.largest_step:>14g}"
        f"{found.logit_shift:>10.2g}"
    )


def _described(facts: dict[str, Any]) -> str:
    versions = (f"{name} {version}" for name, version in facts["versions"].items())
    return ", ".join((facts["machine"], f"Python {facts['python']}", *versions))


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--required", action="store_true", help="what cannot be checked here is an error")
    parser.add_argument("--images", type=int, default=64, help="test images, of 1000 (default: %(default)s)")
    parser.add_argument("--precision", choices=("int8", "fp32"), help="instead of each target's own")
    arguments = parser.parse_args()
    if not 32 <= arguments.images <= 1000:  # of fewer a gate may send none
        parser.error("--images is from 32 to 1000")
    try:
        with timed("Userland"):
            machine = Userland(CACHE)
    except UnavailableError as error:
        print(f"SKIPPED: no Arm board can be emulated here: {error}")
        return int(arguments.required)
    print(f"qemu-user {machine.qemu_version}, Python {machine.python}, glibc {machine.glibc}, in {CACHE}")
    wanted = cases(ecc.list_targets(), arguments.precision)
    agrees, skipped = True, []
    with tempfile.TemporaryDirectory() as work:
        cpus = [machine.cpu(name) for name in sorted({t.device.emulated_as or "" for c in wanted for t in c.targets})]
        extras = sorted({BACKENDS[target.backend].run_extra for case in wanted for target in case.targets})
        job = Check(Path(work), machine, extras, arguments.images)
        for case in wanted:
            backend = BACKENDS[case.targets[0].backend]
            if absent := missing(backend.compiles_with):
                skipped.append(f"{case.title}: {', '.join(absent)} is not installed here")
                continue
            agrees &= check(case, cpus, job)
    for what in skipped:
        print(f"\nSKIPPED: {what}")
    if len(skipped) < len(wanted):
        print("\nEmulated Arm agrees with this machine" if agrees else "\nEmulated Arm DIFFERS from this machine")
    return int(not agrees or (arguments.required and bool(skipped)))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandError, ecc.EccError) as error:
        sys.exit(f"Error: {error}")
