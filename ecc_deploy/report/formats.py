"""Numbers as text. U+2212 is the minus sign, U+00A0 stands between a number and its unit, and — is "not measured"."""

from __future__ import annotations

from math import floor, isfinite, log10

ABSENT = "—"
NBSP = "\u00a0"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def fixed(value: float | None, digits: int) -> str:
    """``digits`` behind the point, thousands separated: ``17,119.0``."""
    if value is None or not isfinite(value):
        return ABSENT
    text = f"{value:,.{digits}f}"
    if text.strip("-0.,") == "":
        text = text.lstrip("-")  # no negative zero
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """As :func:`fixed`, with the sign of gains and losses; ``±0`` where it rounds to nothing."""
    text = fixed(value, digits)
    if text == ABSENT or text.startswith("−"):
        return text
    return f"±{text}" if text.strip("0.") == "" else f"+{text}"


def significant(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits, but integers whole: ``0.452``, ``61.3``, ``784``, ``17,119``."""
    if value is None or not isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    return fixed(value, min(6, max(0, digits - 1 - floor(log10(abs(value))))))


def percent(share: float | None, digits: int = 1) -> str:
    """A share, 0 to 1: ``93.1 %``."""
    text = fixed(None if share is None else share * 100, digits)
    return text if text == ABSENT else f"{text}{NBSP}%"


def points(difference: float | None, digits: int = 1) -> str:
    """A difference of shares, unsigned, in percentage points: ``0.4 points``."""
    text = fixed(None if difference is None else abs(difference) * 100, digits)
    return text if text == ABSENT else f"{text} points"


def milliseconds(value: float | None) -> str:
    """``1.86 ms``."""
    text = significant(value)
    return text if text == ABSENT else f"{text}{NBSP}ms"


def count_bytes(value: float | None) -> str:
    """``61.3 B``; never kB, which means two things."""
    text = significant(value)
    return text if text == ABSENT else f"{text}{NBSP}B"


def unit_of(largest: float) -> tuple[float, str]:
    """The decimal unit that suits a column with this largest value: ``(1e6, "M")``."""
    return next(((scale, name) for scale, name in _UNITS if abs(largest) >= scale), _UNITS[-1])


def count_macs(value: float | None) -> str:
    """``2.31 M MACs``."""
    if value is None or not isfinite(value):
        return ABSENT
    scale, name = unit_of(value)
    return f"{significant(value / scale)}{NBSP}{name}{NBSP}MACs" if name else f"{significant(value)}{NBSP}MACs"


def fewer(share: float | None) -> str:
    """A ratio to something, as words: 0.22 is ``78 % fewer``, 1.5 is ``50 % more``, 1 is ``as many``."""
    if share is None or not isfinite(share):
        return ABSENT
    if share > 2:
        return f"{significant(share, 2)} times as many"
    percents = round(abs(1 - share) * 100)
    if percents == 0:
        return "as many"
    if percents == 100 and share > 0:  # not all of it
        return f"{fixed((1 - share) * 100, 1)}{NBSP}% fewer"
    return f"{percents}{NBSP}% {'fewer' if share < 1 else 'more'}"
