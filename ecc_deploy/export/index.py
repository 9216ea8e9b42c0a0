"""What each bundle of a folder was made of, so that one that would come out the same is not made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ecc_deploy.atomic import write_file
from ecc_deploy.bundle import Bundle, open_bundle
from ecc_deploy.errors import BundleError

FILE = "all-targets.json"
MAX_BYTES = 16 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Made(_Strict):
    pair_id: str
    of: dict[str, Any]


class _Document(_Strict):
    schema_version: int = 1
    bundles: dict[str, _Made] = {}


class Index:
    """:data:`FILE` in a folder of bundles. One that is damaged counts as none: its bundles are made again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._document = _Document()
        try:
            if self._path.stat().st_size <= MAX_BYTES:
                found = _Document.model_validate_json(self._path.read_bytes())
                self._document = found if found.schema_version == 1 else self._document
        except (OSError, ValidationError):
            pass

    def same(self, name: str, facts: dict[str, Any]) -> Bundle | None:
        """The bundle ``name`` of the folder, if it is whole and was made of ``facts`` (plain data)."""
        made = self._document.bundles.get(name)
        if made is None or made.of != json.loads(json.dumps(facts)):
            return None
        try:
            bundle = open_bundle(self._path.parent / name)
        except BundleError:
            return None
        return bundle if bundle.manifest.pair_id == made.pair_id else None

    def record(self, name: str, facts: dict[str, Any], bundle: Bundle) -> None:
        """``bundle``, which lies in the folder as ``name``, was made of ``facts``."""
        self._document.bundles[name] = _Made(pair_id=bundle.manifest.pair_id, of=facts)
        write_file(self._path, self._document.model_dump_json(indent=1).encode() + b"\n")
