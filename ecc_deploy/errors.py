"""Errors that a user can cause and mend.

Every public function raises a subclass of :class:`EccError` for a mistake in what it was given: a recipe, a bundle,
a payload, a missing toolchain. The command line prints the message and the hint, without a traceback, and exits 2.
Anything else that is raised is a bug of ours.
"""

from __future__ import annotations


class EccError(Exception):
    """What was wrong and where (``message``), and what to do about it (``hint``)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(EccError):
    """An argument or option that cannot be used as given."""


class RecipeError(EccError):
    """A recipe (TOML) that does not say what a recipe must say."""


class DataError(EccError):
    """A dataset that is absent, incomplete or of the wrong shape."""


class RunError(EccError):
    """A run directory that is incomplete or does not match its recipe."""


class BundleError(EccError):
    """A bundle that is incomplete, changed, or made of halves that do not belong together."""


class PayloadError(EccError):
    """Bytes that are not a payload of the codec and tensor that were agreed on."""


class TargetError(EccError):
    """A target that is unknown, or whose file is wrong."""


class BackendMissingError(EccError):
    """A toolchain or runtime that is not installed; the hint is the command that installs it."""


class CompileError(EccError):
    """A toolchain that cannot take a model, or fails at it: the message names the operator and the module."""


class ExportRejectedError(EccError):
    """The compiled system lost more accuracy than was allowed."""


class ServerError(EccError):
    """A cloud server that cannot start, cannot be reached, or serves something else."""


class DeviceError(EccError):
    """A measurement that this machine cannot give."""


class LinkError(EccError):
    """A link that is unknown or wrong, that cannot be emulated here, or whose emulation is not what it should be."""
