"""TOML: the parser of Python's own library, or where that is 3.10, as with JetPack 6, the one that it was made from."""

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["loads", "tomllib"]


def loads(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ``tomllib.TOMLDecodeError`` for all that is none, where the parser itself has other words too:
    for lists within lists within lists, and for whole numbers of more than 4,300 digits.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from None
    except ValueError as error:
        raise tomllib.TOMLDecodeError(str(error).partition(";")[0]) from error
