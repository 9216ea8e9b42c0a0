"""Which models a server has, and by which names and versions they are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import grpc

from ecc_deploy import wire
from ecc_deploy.serving.model import CloudModel
from ecc_deploy.serving.refusal import RefusalError, quoted


class Catalog:
    """The served halves by name and version.

    A half is ``<half key>``, ``<bundle name>/<half key>`` or ``<pair_id>/<half key>``. Bundles of one name are its
    versions: "1" for the one that was given first, "2" for the next, whatever halves they have. Which one answers:

    * with a ``pair_id``, in the request's parameters or in the name, the half of that pair, and no other; its version
      may be given as what it is, as "1" (what a client says that knows of one only), or not at all;
    * else the version that was asked for; without one the newest, which is the one with the highest number;
    * where bundles of several names have a half with the same key, the key alone says nothing: it is refused.
    """

    def __init__(self, models: Sequence[CloudModel]) -> None:
        self._by_name: defaultdict[str, list[CloudModel]] = defaultdict(list)
        self._versions: dict[str, str] = {}
        pairs_of: defaultdict[str, list[str]] = defaultdict(list)
        plain = set()
        for model in models:
            bundle = model.bundle.manifest.name
            if model.pair_id not in pairs_of[bundle]:
                pairs_of[bundle].append(model.pair_id)
                self._versions[model.pair_id] = str(len(pairs_of[bundle]))
            names = (model.key, f"{bundle}/{model.key}")
            plain |= set(names)
            for name in (*names, f"{model.pair_id}/{model.key}"):
                self._by_name[name].append(model)
        self.names = sorted(name for name in plain if self._is_of_one_bundle(self._by_name[name]))
        """The names, without those by pair_id, that say by themselves which half is meant, with or without version."""

    def version(self, model: CloudModel) -> str:
        """Which version of its bundle's name ``model`` belongs to."""
        return self._versions[model.pair_id]

    def versions(self, name: str) -> list[str]:
        """All versions of the model ``name``, oldest first."""
        return [self.version(model) for model in self._by_name.get(name, ())]

    def find(self, name: str, version: str, pair_id: str | None = None) -> CloudModel:
        """The model of a request. Raises :class:`RefusalError` where there is none, several, or another pair's."""
        models = self._by_name.get(name)
        if not models:
            raise RefusalError(
                grpc.StatusCode.NOT_FOUND, f"there is no model {quoted(name)}; served here: {', '.join(self.names)}"
            )
        if pair_id is None and len(models) == 1 and name == f"{models[0].pair_id}/{models[0].key}":
            pair_id = models[0].pair_id
        if pair_id is not None:
            return self._of_pair(name, version, pair_id, models)
        if not self._is_of_one_bundle(models):
            raise RefusalError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{len(models)} bundles have a model {quoted(name)}: send the parameter {wire.PAIR_ID}, or ask for "
                f"{' or '.join(sorted({f'{m.bundle.manifest.name}/{m.key}' for m in models}))}",
            )
        for model in models:
            if version == self.version(model):
                return model
        if version:
            raise self._no_version(version, models)
        return models[-1]

    def _of_pair(self, name: str, version: str, pair_id: str, models: Sequence[CloudModel]) -> CloudModel:
        for model in models:
            if model.pair_id == pair_id:
                if version not in ("", wire.MODEL_VERSION, self.version(model)):
                    raise self._no_version(version, [model])
                return model
        raise RefusalError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the model {quoted(name)} here belongs to the pair {', '.join(m.pair_id for m in models)}, the request to "
            f"{quoted(pair_id)}: edge and cloud run different bundles",
        )

    def _no_version(self, version: str, models: Sequence[CloudModel]) -> RefusalError:
        known = ", ".join(repr(self.version(model)) for model in models)
        return RefusalError(grpc.StatusCode.NOT_FOUND, f"there is no version {quoted(version)}, only {known}")

    @staticmethod
    def _is_of_one_bundle(models: Sequence[CloudModel]) -> bool:
        return len({model.bundle.manifest.name for model in models}) == 1
