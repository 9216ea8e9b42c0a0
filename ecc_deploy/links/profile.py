"""Links as data: rate, round trip, jitter, loss and queue. One TOML file each, in ``links/``; or a short text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecc_deploy import resources, toml
from ecc_deploy.errors import LinkError

MAX_FILE_BYTES = 1 << 20
DEFAULT_QUEUE_MS = 100.0

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=30_000, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Quantity = Literal["rate", "rtt", "jitter", "loss", "queue"]


class LinkProfile(BaseModel):
    """One kind of link, as its two ends see it. ``name`` is the name of its file, without ``.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.,=_-]{0,79}$")]
    title: Text
    up_mbit: Rate | None
    """Edge to cloud, in 10^6 bits of IP packets (headers included) per second; ``None``: as quick as the machine."""
    down_mbit: Rate | None
    """Cloud to edge."""
    rtt_ms: Milliseconds
    """Round trip of a small packet on the idle link, half of it each way."""
    jitter_ms: Milliseconds = 0.0
    """Each way the delay of a packet varies evenly by at most this much, to both sides; packets stay in order."""
    loss: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    """Share of packets that are lost, each way, independently."""
    queue_ms: Annotated[float, Field(gt=0, le=5_000, allow_inf_nan=False)] = DEFAULT_QUEUE_MS
    """How long a packet may wait in front of the link; what would wait longer is dropped."""
    sources: dict[Quantity, Text] = {}
    """Where each figure is from."""
    notes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _delay_stays_positive(self) -> LinkProfile:
        if self.jitter_ms > self.delay_ms:
            raise ValueError(
                f"jitter_ms is {self.jitter_ms:g}, more than the delay of one way, {self.delay_ms:g} (half of rtt_ms)"
            )
        return self

    @property
    def delay_ms(self) -> float:
        """One way."""
        return self.rtt_ms / 2

    @property
    def source(self) -> str:
        """The sources as one text."""
        by_text: dict[str, list[str]] = {}
        for quantity, text in self.sources.items():
            by_text.setdefault(text, []).append(quantity)
        return "; ".join(f"{', '.join(quantities)}: {text}" for text, quantities in by_text.items())

    def describe(self) -> str:
        """The figures in one line."""
        if self.up_mbit == self.down_mbit:
            rate = f"{_rate(self.up_mbit)} both ways"
        else:
            rate = f"{_rate(self.up_mbit)} up, {_rate(self.down_mbit)} down"
        parts = [rate, f"{self.rtt_ms:g} ms round trip"]
        if self.jitter_ms:
            parts.append(f"±{self.jitter_ms:g} ms each way")
        if self.loss:
            parts.append(f"{self.loss:.2%} lost each way")
        return ", ".join(parts)


def _rate(mbit: float | None) -> str:
    return "unlimited" if mbit is None else f"{mbit:g} Mbit/s"


def list_links() -> list[LinkProfile]:
    """The links that ship, from quick to slow. Raises :class:`LinkError` where a file is damaged."""
    found = [_read(path) for path in resources.folder("links").glob("*.toml")]
    return sorted(found, key=lambda link: (link.rtt_ms, link.name))


def load_link(text: str | Path) -> LinkProfile:
    """Load a link that ships, by its name; a user's own, by the path of its file; or one described in a text.

    The text is ``rate=10mbit,delay=20ms``, with ``up=``, ``down=``, ``jitter=``, ``loss=`` (``1%`` or ``0.01``) and
    ``queue=`` as further parts. ``delay`` is what the link adds to a *round trip*, half of it each way.

    Raises :class:`LinkError` for an unknown name, and for a file or a text that is wrong, naming the field.
    """
    given = str(text)
    if isinstance(text, Path) or given.endswith(".toml") or "/" in given:
        return _read(Path(text))
    if "=" in given:
        return _parse(given)
    shipped = {path.stem: path for path in resources.folder("links").glob("*.toml")}
    if given not in shipped:
        raise LinkError(
            f"there is no link named {given!r}",
            f"Known links: {', '.join(sorted(shipped))}. Your own is the path of a TOML file, or a text such as "
            "rate=10mbit,delay=20ms.",
        )
    return _read(shipped[given])


def _read(path: Path) -> LinkProfile:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LinkError(f"the link {path} is larger than {MAX_FILE_BYTES} bytes")
        link = LinkProfile.model_validate(toml.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise LinkError(
            f"the link {path} cannot be read: {error.strerror}", "`ecc-deploy links list` shows those that ship."
        ) from error
    except UnicodeDecodeError as error:
        raise LinkError(f"the link {path} is not text in UTF-8: {error.reason}") from error
    except toml.tomllib.TOMLDecodeError as error:
        raise LinkError(f"the link {path} is not TOML: {error}") from error
    except ValidationError as error:
        raise LinkError(f"the link {path} is wrong:\n{_wrong(error)}", "docs/links.md lists the fields.") from error
    if link.name != path.stem:
        raise LinkError(
            f"the link {path} is wrong:\n  name: it is {link.name!r}, and the file is named {path.name}",
            f"Rename the file to {link.name}.toml, or the link to {path.stem}.",
        )
    return link


_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_RATES = {"kbit": 1e-3, "mbit": 1.0, "gbit": 1e3}
_TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_UNITS: dict[str, dict[str, float]] = {
    **dict.fromkeys(("rate", "up", "down"), _RATES),
    **dict.fromkeys(("delay", "jitter", "queue"), _TIMES),
    "loss": {"%": 0.01, "": 1.0},
}
_HINT = "For example rate=10mbit,delay=20ms or up=5mbit,down=20mbit,delay=50ms,jitter=5ms,loss=1%,queue=200ms."


def _parse(text: str) -> LinkProfile:
    given: dict[str, float] = {}
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        units = _UNITS.get(key)
        if units is None:
            raise LinkError(f"the link {text!r} has a part {part!r}; known are {', '.join(_UNITS)}", _HINT)
        if key in given:
            raise LinkError(f"the link {text!r} says {key} twice", _HINT)
        match = re.fullmatch(_NUMBER + r"\s*([a-z%]*)", value.lower())
        if match is None or match[2] not in units:
            wanted = " or ".join(unit or "none (0.01)" for unit in units)
            raise LinkError(f"the link {text!r}: {key} is {value!r}, not a number with the unit {wanted}", _HINT)
        given[key] = float(match[1]) * units[match[2]]
    if "delay" not in given or ("rate" in given) == bool({"up", "down"} & given.keys()):
        raise LinkError(f"the link {text!r} needs delay, and rate or up and down", _HINT)
    if "rate" not in given and not {"up", "down"} <= given.keys():
        raise LinkError(f"the link {text!r} has only one of up and down", _HINT)
    fields: dict[str, Any] = {
        "name": re.sub(r"\s", "", text.lower()).replace("%", "pct"),
        "title": "Given as text",
        "up_mbit": given.get("up", given.get("rate")),
        "down_mbit": given.get("down", given.get("rate")),
        "rtt_ms": given["delay"],
        "jitter_ms": given.get("jitter", 0.0),
        "loss": given.get("loss", 0.0),
        "queue_ms": given.get("queue", DEFAULT_QUEUE_MS),
    }
    try:
        return LinkProfile.model_validate(fields)
    except ValidationError as error:
        raise LinkError(f"the link {text!r} is wrong:\n{_wrong(error)}", _HINT) from error


def _wrong(error: ValidationError) -> str:
    return "\n".join(
        f"  {'.'.join(map(str, e['loc'])) or '(whole link)'}: {e['msg'].removeprefix('Value error, ')}"
        for e in error.errors()
    )
