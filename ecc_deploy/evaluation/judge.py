"""Makes the rows and curves of one subject, one comparator after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

from ecc_deploy.evaluation.arms import Arm, Arms
from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.evaluation.curves import curve, recall
from ecc_deploy.evaluation.measured import Measured
from ecc_deploy.evaluation.result import AUTO, Curve, Recall, Row
from ecc_deploy.evaluation.rows import Rows
from ecc_deploy.evaluation.scores import chosen_scores, offered_scores
from ecc_deploy.evaluation.subject import Subject
from ecc_deploy.payload import Codec, TensorSpec, make_codec

RANDOM = "random"


class Judge:
    """One subject on one part. Each of the :meth:`steps` adds to ``rows``, ``curves`` and ``recalls``."""

    def __init__(self, subject: Subject, part: str, *, gate: str, offload_rate: float, fused: bool) -> None:
        self.subject, self.gate, self.offload_rate, self.fused = subject, gate, offload_rate, fused
        has_learned = "gate" in subject.parts
        chosen_scores(gate, has_learned=has_learned, name=subject.name)  # a wrong one is an error at once
        self.scores = offered_scores(has_learned)
        self.test = Measured(subject, part)
        self.arms = Arms(self.test if part == "val" else Measured(subject, "val"), self.test, self.scores)
        self.pixels = TensorSpec("uint8", subject.dataset.image_shape)
        self.rows: list[Row] = []
        self.curves: list[Curve] = []
        self.recalls: list[Recall] = []

    def steps(self, image_codecs: Sequence[str]) -> list[tuple[str, Callable[[], None]]]:
        """What there is to do, each with a note. Raises :class:`PayloadError` for a codec that does not suit."""
        others = list(dict.fromkeys(make_codec(spec, self.pixels) for spec in image_codecs))
        found: list[tuple[str, Callable[[], None]]] = [("edge-only", self.edge_only)]
        found += [(f"cloud-only, {codec.spec}", partial(self.cloud_only, codec)) for codec in others]
        found += [("independent", self.independent)]
        found += [(f"independent, {codec.spec}", partial(self.cascade, codec)) for codec in others]
        if "adapter" in self.subject.parts:
            found += [("adaptive", self.adaptive), ("dynamic", self.dynamic)]
        return found

    @cached_property
    def make(self) -> Callable[..., Row]:
        """Makes a row."""
        edge = accuracy(self.test.edge_side.edge, self.test.labels)
        return Rows(edge, accuracy(self.test.cloud(), self.test.labels), self.pixels.elements).make

    def edge_only(self) -> None:
        value = accuracy(self.test.edge_side.edge, self.test.labels)
        self.rows.append(
            self.make(
                "edge-only", "edge-only", accuracy=value, offload_rate=0.0, edge_macs=self.subject.macs.exit,
                cloud_macs=0.0, payload_bytes=0.0,
            )
        )  # fmt: skip

    def cloud_only(self, codec: Codec) -> None:
        value = accuracy(self.test.cloud(codec), self.test.labels)
        self.rows.append(
            self.make(
                f"cloud-only/{codec.spec}", "cloud-only", accuracy=value, offload_rate=1.0, edge_macs=0.0,
                cloud_macs=self.subject.macs.full, payload_bytes=float(self.test.image_sizes(codec).mean()),
                codec=codec.spec,
            )
        )  # fmt: skip

    def independent(self) -> None:
        """ECC-I with its own codec."""
        self._gated(self.arms.independent(self.arms.image_codec, "independent", fused=self.fused))
        if self.fused:
            self._at_rate(self.arms.independent(self.arms.image_codec, "independent, not fused", fused=False))

    def cascade(self, codec: Codec) -> None:
        """ECC-I with an image codec to compare with."""
        if codec.spec != self.arms.image_codec.spec:
            arm = self.arms.independent(codec, f"independent/{codec.spec}", fused=self.fused)
            self._at_rate(arm)
            self._curves(arm)

    def adaptive(self) -> None:
        codec, macs = self.arms.boundary_codec, self.subject.macs
        sizes = self.test.boundary_sizes("adaptive", codec)
        row = partial(
            self.make, architecture="adaptive", offload_rate=1.0, cloud_macs=macs.tail, codec=codec.spec
        )  # fmt: skip
        value = accuracy(self.test.adapted("adaptive", codec), self.test.labels)
        self.rows.append(row("adaptive", accuracy=value, edge_macs=macs.encode, payload_bytes=float(sizes.mean())))
        if self.fused:
            arm = self.arms.dynamic("adaptive, fused", fused=True)
            point = arm.gated.at(self.scores[0], 1.0)
            self.rows.append(
                row(
                    arm.name, accuracy=point.accuracy, edge_macs=arm.edge_macs, payload_bytes=point.payload_bytes,
                    fused=True,
                )
            )  # fmt: skip

    def dynamic(self) -> None:
        self._gated(self.arms.dynamic("dynamic", fused=self.fused))
        if self.fused:
            self._at_rate(self.arms.dynamic("dynamic, not fused", fused=False))

    def _gated(self, arm: Arm) -> None:
        """All that a gated arm with its own codec has: row, chance, curves, recall."""
        self._at_random(arm, self._at_rate(arm))
        self._curves(arm)
        for score in self.scores:
            correctable = arm.gated.correctable(score, self.offload_rate)
            found = recall(arm.architecture, score, arm.gated.part.confidence[score], correctable)
            self.recalls += [] if found is None else [found]

    def _at_rate(self, arm: Arm) -> Row:
        """The row at the wanted rate."""
        point = arm.gated.at(self.gate, self.offload_rate)
        row = self._row(arm, arm.name, point.accuracy, point.offload_rate, point.payload_bytes, point.gate)
        self.rows.append(row)
        return row

    def _at_random(self, arm: Arm, row: Row) -> None:
        """What chance is expected to give at the rate of ``row``."""
        nothing, everything = (arm.gated.at(self.scores[0], rate) for rate in (0.0, 1.0))
        rate = row.offload_rate
        value = (1 - rate) * nothing.accuracy + rate * everything.accuracy
        self.rows.append(self._row(arm, f"{arm.name}, at random", value, rate, rate * everything.payload_bytes, RANDOM))

    def _row(self, arm: Arm, name: str, value: float, rate: float, size: float, gate: str) -> Row:
        return self.make(
            name, arm.architecture, accuracy=value, offload_rate=rate, edge_macs=arm.edge_macs,
            cloud_macs=rate * arm.cloud_macs, payload_bytes=size, codec=arm.codec, gate=gate, fused=arm.gated.fused,
        )  # fmt: skip

    def _curves(self, arm: Arm) -> None:
        self.curves += [curve(arm, gate) for gate in (AUTO, *self.scores)]
