"""The report: one HTML file that needs nothing from the network."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from typing import Any

from ecc_deploy.atomic import write_file
from ecc_deploy.backends.registry import install_command, missing
from ecc_deploy.bench.schema import Bench
from ecc_deploy.errors import BackendMissingError, UsageError
from ecc_deploy.report.view import page

_ASSETS = Path(__file__).resolve().parent / "assets"
_NEEDS = ("jinja2",)
_SCRIPTS = ("marks.js", "labels.js", "chart.js", "report.js")
"""In the order in which they run; each becomes one element of the page."""


def write_report(benches: Sequence[Bench], out: str | Path) -> Path:
    """Write one self-contained HTML file about one or more benchmarks to ``out``, whole or not at all; return ``out``.

    Nothing in it comes from the network, and its content security policy lets nothing be fetched and no script run
    but those it was made with. All texts of the benchmarks are escaped.

    Raises :class:`UsageError` for no benchmark or a file that cannot be written, :class:`BackendMissingError` where
    the extra ``report`` is not installed.
    """
    if not benches:
        raise UsageError(
            "a report needs at least one benchmark", "`ecc-deploy bench BUNDLE --out bench.json` makes one."
        )
    return write_page(Path(out), render(benches))


def write_page(out: Path, content: str) -> Path:
    """Write the text of a page, whole or not at all; return ``out``. Raises :class:`UsageError`."""
    try:
        write_file(out, content.encode("utf-8", "replace"))  # a lone surrogate in some name is no reason to fail
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    return out


def render(benches: Sequence[Bench]) -> str:
    """The text of the file; the same benchmarks give the same text. Raises :class:`BackendMissingError`."""
    return render_page("report.html.j2", page(benches))


def render_page(template: str, content: dict[str, Any]) -> str:
    """The text of a self-contained page: ``content`` in ``template``, one of the assets.

    ``content["figures"]``: figures by the id of the element that they are drawn in.
    Raises :class:`BackendMissingError`.
    """
    check_installed()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [(_ASSETS / name).read_text("utf-8") for name in _SCRIPTS]
    figures = json.dumps(_finite(content["figures"]), separators=(",", ":"), allow_nan=False)
    return environment.get_template(template).render(
        **{name: value for name, value in content.items() if name != "figures"},
        scripts=[_Inline(text) for text in scripts],
        style=_Inline((_ASSETS / "report.css").read_text("utf-8")),
        policy=_policy(scripts),
        figures=_Inline(_in_script(figures)),
        version=_version(),
    )


def check_installed() -> None:
    """Raises :class:`BackendMissingError` where the extra ``report`` is not installed."""
    absent = missing(_NEEDS)
    if absent:
        raise BackendMissingError(
            f"a report needs {' and '.join(absent)}, which is not installed", f"Run: {install_command('report')}"
        )


class _Inline(str):
    """Text of our own, or escaped already, that goes into the page as it is."""

    def __html__(self) -> str:
        return self


def _policy(scripts: Any) -> str:
    """Only the scripts with these hashes run, and nothing is fetched from anywhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _in_script(text: str) -> str:
    """JSON that cannot end the element that it stands in."""
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _finite(value: Any) -> Any:
    """``value`` with ``null`` for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _version() -> str:
    try:
        return version("ecc-deploy")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""
