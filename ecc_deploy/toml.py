"""TOML: the parser of Python's own library, or where that is 3.10, as with JetPack 6, the one that it was made from."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["tomllib"]
