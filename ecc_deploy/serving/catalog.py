"""Which models a server has, and by which names they are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import grpc

from ecc_deploy import wire
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import RefusalError, quoted


class Catalog:
    """The served halves by name.

    A half is ``<half key>``, ``<bundle name>/<half key>`` or ``<pair_id>/<half key>``. Where several bundles share a
    name, only a request that says its ``pair_id`` can use it.
    """

    def __init__(self, models: Iterable[CloudModel]) -> None:
        self._by_name: defaultdict[str, list[CloudModel]] = defaultdict(list)
        plain = set()
        for model in models:
            names = (model.key, f"{model.bundle.manifest.name}/{model.key}")
            plain |= set(names)
            for name in (*names, f"{model.pair_id}/{model.key}"):
                self._by_name[name].append(model)
        self.names = sorted(name for name in plain if len(self._by_name[name]) == 1)
        """The names, without those by pair_id, that say by themselves which half is meant."""

    def find(self, name: str, version: str, pair_id: str | None = None) -> CloudModel:
        """The model of a request. Raises :class:`RefusalError` where there is none, several, or another pair's."""
        if version not in ("", wire.MODEL_VERSION):
            raise RefusalError(
                grpc.StatusCode.NOT_FOUND, f"there is no version {quoted(version)}, only {wire.MODEL_VERSION!r}"
            )
        models = self._by_name.get(name)
        if not models:
            raise RefusalError(
                grpc.StatusCode.NOT_FOUND, f"there is no model {quoted(name)}; served here: {', '.join(self.names)}"
            )
        if pair_id is not None:
            for model in models:
                if model.pair_id == pair_id:
                    return model
            raise RefusalError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the model {name!r} here belongs to the pair {', '.join(m.pair_id for m in models)}, the request to "
                f"{quoted(pair_id)}: edge and cloud run different bundles",
            )
        if len(models) > 1:
            raise RefusalError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{len(models)} bundles have a model {name!r}: send the parameter {wire.PAIR_ID}, or ask for "
                f"{' or '.join(f'{m.pair_id}/{m.key}' for m in models)}",
            )
        return models[0]
