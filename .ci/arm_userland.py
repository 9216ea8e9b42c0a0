"""An Arm board in a folder: Debian's arm64 packages unpacked, run by qemu-user on this machine's kernel.

apt reads this machine's own sources and keys, but keeps its state in a temporary folder, and dpkg-deb only unpacks:
nothing is installed on this machine, and root is not needed. What is made stays in a cache folder, each part whole or
not at all; delete the folder to have it made anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "libgomp1", "libatomic1")
"""Of a Debian or Ubuntu release, whatever its Python: an interpreter and what manylinux wheels link to."""
QEMU = ("qemu-aarch64-static", "qemu-aarch64")

# LiteRT and ONNX Runtime read /proc/cpuinfo, which would otherwise be that of this machine, and crash.
PARTS = {"cortex-a53": 0xD03, "cortex-a55": 0xD05, "cortex-a57": 0xD07, "cortex-a72": 0xD08, "cortex-a76": 0xD0B}
# Bits 0 to 20 of AT_HWCAP, by the names that Linux prints.
FEATURES = (
    *("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid"),
    *("asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp"),
)

APT = """\
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
"""


class UnavailableError(Exception):
    """This machine cannot emulate a board; the text says why."""


class CommandError(Exception):
    """A command failed; the text has the end of what it said."""


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 900,
) -> str:
    """Run a command and return its standard output. Raises :class:`CommandError`."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=timeout_s)
    except OSError as error:
        raise CommandError(f"{words[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(words)} did not end within {timeout_s:g} s") from error
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise CommandError(f"{' '.join(words)} failed ({how}):\n{said}")
    return done.stdout


@dataclass(frozen=True)
class Cpu:
    """One emulated CPU: ``name`` as qemu-user knows it, and the ``features`` it has, as Linux names them."""

    name: str
    features: tuple[str, ...]


class Userland:
    """The emulated userland in ``cache``, made where it is not there yet.

    Raises :class:`UnavailableError` where that cannot be: not Linux on x86-64, no apt, no network, other sources.
    """

    def __init__(self, cache: Path) -> None:
        machine = os.uname().machine if sys.platform == "linux" else sys.platform
        if machine != "x86_64":
            raise UnavailableError(f"Arm is compared with Linux on x86-64, and this is {machine}")
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        try:
            self.qemu = _installed_qemu() or keep(cache / "qemu-aarch64", _fetch_qemu)
            self.root = keep(cache / "root", lambda made: _unpack(PACKAGES, "arm64", made))
            code = "import os, sys; print(*sys.version_info[:2], os.confstr('CS_GNU_LIBC_VERSION'))"
            major, minor, _, libc = run(self._python("cortex-a72", self.root, "-c", code)).split()
            self.qemu_version = run([self.qemu, "--version"]).split("\n")[0].removeprefix("qemu-aarch64 version ")
        except CommandError as error:
            raise UnavailableError(str(error)) from error
        self.python, self.glibc = f"{major}.{minor}", libc

    def _python(self, cpu: str, root: Path, *arguments: str | Path) -> list[str | Path]:
        # -S: Debian's site module would add /usr/lib/python3/dist-packages, and that could be this machine's own.
        return [self.qemu, "-cpu", cpu, "-L", root, self.root / "usr/bin/python3", "-S", *arguments]

    def cpu(self, name: str) -> Cpu:
        """What the emulated CPU ``name`` says of itself. Raises :class:`CommandError`, also for an unknown one."""
        code = "import ctypes; print(ctypes.CDLL(None).getauxval(16))"
        bits = int(run(self._python(name, self.root, "-c", code)))
        return Cpu(name, tuple(feature for bit, feature in enumerate(FEATURES) if bits >> bit & 1))

    def run(self, cpu: Cpu, program: Sequence[str | Path], *, path: Sequence[Path]) -> str:
        """Run a Python program on ``cpu``, with the folders of ``path`` to import from; return what it printed."""
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            for entry in self.root.iterdir():
                (root / entry.name).symlink_to(entry.resolve())
            (root / "proc").mkdir()
            (root / "proc/cpuinfo").write_text(cpuinfo(cpu, os.cpu_count() or 1))
            env = {
                "PYTHONPATH": os.pathsep.join(map(str, path)),
                "LANG": "C.UTF-8",
                "HOME": name,
                "OMP_NUM_THREADS": "1",
            }
            return run(self._python(cpu.name, root, *program), env=env)

    def site_packages(self, wheel: Path, extras: Sequence[str], constraints: Path) -> Path:
        """A folder with what ``wheel`` and its ``extras`` ask for on aarch64, from wheels only; the wheel not.

        It is kept until the wheel asks for something else. Raises :class:`CommandError`.
        """
        with zipfile.ZipFile(wheel) as held:
            (metadata,) = [name for name in held.namelist() if name.endswith(".dist-info/METADATA")]
            lines = held.read(metadata).decode().splitlines()
        asked = [line for line in lines if line.startswith("Requires-")]
        asked += [constraints.read_text(), *extras, self.python, self.glibc]
        name = f"site-{hashlib.sha256(repr(asked).encode()).hexdigest()[:16]}"

        def install(made: Path) -> None:
            newest = int(self.glibc.split(".")[1])
            tags = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, newest + 1))]
            platforms = [word for tag in tags for word in ("--platform", tag)]
            what = f"{wheel}[{','.join(extras)}]"
            python = ("--python-version", self.python, "--implementation", "cp", "--only-binary=:all:")
            pip_install("--target", made, "--constraint", constraints, *python, *platforms, what)
            package = metadata.split("-")[0]
            for own in made.glob(f"{package}*"):
                shutil.rmtree(own)

        folder = keep(self._cache / name, install)
        for old in self._cache.glob("site-*"):
            if old != folder:
                shutil.rmtree(old)
        return folder


def keep(path: Path, make: Callable[[Path], None]) -> Path:
    """``path``, a file or folder; where it is absent, ``make`` makes it beside it, and it is moved there when whole."""
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as work:
            made = Path(work) / path.name
            make(made)
            try:
                made.rename(path)
            except OSError:  # it is there, and not empty: another run was first
                if not path.exists():
                    raise
    return path


def cpuinfo(cpu: Cpu, processors: int) -> str:
    """The text of /proc/cpuinfo of a machine with so many of these. Raises :class:`CommandError` for an unknown CPU."""
    if cpu.name not in PARTS:
        raise CommandError(f"the part number of {cpu.name} is not known; known: {', '.join(PARTS)}")
    one = (
        f"Features\t: {' '.join(cpu.features)}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {PARTS[cpu.name]:#x}\nCPU revision\t: 0\n"
    )
    return "\n".join(f"processor\t: {number}\n{one}" for number in range(processors))


def pip_install(*arguments: str | Path) -> None:
    """Run ``pip install`` of this interpreter. Raises :class:`CommandError`."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile")
    run([*pip, *arguments])


def _installed_qemu() -> Path | None:
    return next((Path(found) for name in QEMU if (found := shutil.which(name))), None)


def _fetch_qemu(made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent) as name:
        host = run(["dpkg", "--print-architecture"]).strip()
        tools = Path(name) / "tools"
        _unpack(["qemu-user-static"], host, tools)
        found = [path for wanted in QEMU if (path := tools / "usr/bin" / wanted).is_file()]
        if not found:
            raise CommandError(f"the package qemu-user-static holds none of {', '.join(QEMU)}")
        shutil.copy2(found[0], made)


def _unpack(packages: Sequence[str], architecture: str, made: Path) -> None:
    """Download ``packages`` and what they depend on, for ``architecture``, and unpack them into the folder ``made``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "state/status").touch()
        (folder / "apt.conf").write_text(APT.format(architecture=architecture, folder=folder))
        env = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "-q", "update"], env=env)
        run(["apt-get", "-q", "-y", "--download-only", "--no-install-recommends", "install", *packages], env=env)
        made.mkdir()
        for package in sorted((folder / "cache/archives").glob("*.deb")):
            run(["dpkg-deb", "--extract", package, made])
    for name in ("bin", "lib"):  # where the release keeps them in /usr alone
        if not (made / name).exists():
            (made / name).symlink_to(f"usr/{name}")
