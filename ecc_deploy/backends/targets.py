"""Targets: devices as data. One TOML file each, in ``targets/``; a user's own is given by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecc_deploy import resources, toml
from ecc_deploy.backends.options import BackendOptions
from ecc_deploy.backends.registry import BACKENDS, options_of
from ecc_deploy.bundle.manifest import Name, Precision
from ecc_deploy.errors import TargetError

Side = Literal["edge", "cloud"]
Text = Annotated[str, Field(min_length=1)]

MAX_FILE_BYTES = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fact(_Strict):
    """Something about the device that a choice depends on, and where it is written or how it was measured."""

    fact: Text
    source: Text


class Device(_Strict):
    """What the device is; for people, and for checks before anything is compiled or started on it."""

    cpu: Text | None = None
    gpu: Text | None = None
    npu: Text | None = None
    cpu_features: tuple[Text, ...] = ()
    """By the names that Linux gives them."""
    word_bits: tuple[Literal[32, 64], ...] = ()
    """Of the operating systems that it runs."""
    memory_mb: tuple[Annotated[int, Field(gt=0)], ...] = ()
    """MiB, of each model that is sold."""
    compute_capabilities: tuple[Annotated[str, Field(pattern=r"^\d+\.\d$")], ...] = ()
    """CUDA's, of its GPUs."""
    dla_cores: Annotated[int, Field(ge=0)] = 0
    """NVIDIA deep learning accelerators."""
    power_modes: tuple[Text, ...] = ()
    software: Text | None = None
    """What the facts were read for."""
    jetpack: tuple[Text, ...] = ()
    """Versions of JetPack that run on it."""
    emulated_as: Text | None = None
    """The CPU of qemu-user that stands for it."""


class Target(_Strict):
    """One device, as far as compiling for it needs to know. ``name`` is the name of its file, without ``.toml``."""

    name: Name
    title: Text
    backend: str
    """A backend of :mod:`ecc_deploy.backends.registry`."""
    sides: Annotated[tuple[Side, ...], Field(min_length=1)]
    """The halves that it can run."""
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1)]
    default_precision: Precision
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads of one inference, where nothing else is asked for."""
    device: Device = Device()
    options: dict[str, Any] = {}
    """The backend's own; see :attr:`backend_options`."""
    notes: tuple[Text, ...] = ()
    """What a user should know before choosing it."""
    facts: tuple[Fact, ...] = ()

    @model_validator(mode="after")
    def _fits_its_backend(self) -> Target:
        backend = BACKENDS.get(self.backend)
        if backend is None:
            raise ValueError(f"there is no backend {self.backend!r}; known: {', '.join(sorted(BACKENDS))}")
        impossible = [precision for precision in self.precisions if precision not in backend.precisions]
        if impossible:
            raise ValueError(
                f"the backend {self.backend} has no precision {', '.join(impossible)}; "
                f"it has: {', '.join(backend.precisions)}"
            )
        if self.default_precision not in self.precisions:
            raise ValueError(f"the default precision {self.default_precision} is not among the precisions")
        for field, values in (("sides", self.sides), ("precisions", self.precisions)):
            if len(set(values)) != len(values):
                raise ValueError(f"{field} names something twice")
        try:
            self.backend_options  # noqa: B018  (it is their validation)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("options", *first["loc"])))
            raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
        return self

    @property
    def backend_options(self) -> BackendOptions | None:
        """``options`` as the backend's own ``Options``; ``None`` for a backend without any."""
        return options_of(self.backend, self.options)


def list_targets() -> list[Target]:
    """The targets that ship, by name. Raises :class:`TargetError` where a file is damaged."""
    return [_read(path) for path in sorted(resources.folder("targets").glob("*.toml"))]


def load_target(name_or_path: str | Path) -> Target:
    """Load a target that ships, by its name, or a user's own, by the path of its file (``./my-board.toml``).

    Raises :class:`TargetError` for an unknown name, and for a file that is wrong, naming the field.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text:
        return _read(Path(name_or_path))
    shipped = {path.stem: path for path in resources.folder("targets").glob("*.toml")}
    if text not in shipped:
        raise TargetError(
            f"there is no target named {text!r}",
            f"Known targets: {', '.join(sorted(shipped))}. Your own is given by the path of its TOML file.",
        )
    return _read(shipped[text])


def _read(path: Path) -> Target:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TargetError(f"the target {path} is larger than {MAX_FILE_BYTES} bytes")
        target = Target.model_validate(toml.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TargetError(
            f"the target {path} cannot be read: {error.strerror}", "`ecc-deploy targets list` shows those that ship."
        ) from error
    except UnicodeDecodeError as error:
        raise TargetError(f"the target {path} is not text in UTF-8: {error.reason}") from error
    except toml.tomllib.TOMLDecodeError as error:
        raise TargetError(f"the target {path} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "\n".join(f"  {_place(e['loc'])}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        raise TargetError(f"the target {path} is wrong:\n{wrong}", "docs/targets.md lists the fields.") from error
    if target.name != path.stem:
        raise TargetError(
            f"the target {path} is wrong:\n  name: it is {target.name!r}, and the file is named {path.name}",
            f"Rename the file to {target.name}.toml, or the target to {path.stem}.",
        )
    return target


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "(whole file)"
