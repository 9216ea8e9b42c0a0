"""The codec of the boundary, chosen on what the compiled edge half really sends, and its table in the bundle."""

from __future__ import annotations

from pathlib import Path

from ecc_deploy.backends.interface import Runner
from ecc_deploy.bundle import Boundary
from ecc_deploy.data import Dataset
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.payload import Codec, TensorSpec
from ecc_deploy.payload.choice import boundary_candidates, choose
from ecc_deploy.preprocess import laid_out
from ecc_deploy.quantization.calibration import CalibrationRecipe, draw

SAMPLES = 2000
"""At most, of the train part: the few hundred of a calibration recipe are enough for a range, not for statistics."""


def choose_codec(
    wanted: str, boundary: Boundary, encode: Runner, calibration: CalibrationRecipe, dataset: Dataset
) -> Codec:
    """The codec ``wanted``, or for ``auto`` the one that sends the fewest bytes; fitted, where it has a table.

    ``encode``: the compiled half whose boundary is sent. The samples are drawn as ``calibration`` draws, of the data's
    train part even where ranges were found on images of the user's own: of those there are too few.
    Raises :class:`PayloadError` for a codec that does not suit.
    """
    count = min(max(SAMPLES, calibration.samples), len(dataset.part(calibration.part)))
    images = draw(calibration.model_copy(update={"samples": count, "source": None}), dataset)
    answers = run_all(encode, "image", images, lambda batch: laid_out(encode.half, dataset.normalisation(batch)))
    tensor = TensorSpec(boundary.tensor.dtype, boundary.tensor.shape)
    return choose(wanted, boundary_candidates(boundary.bits, with_table=True), tensor, answers["boundary"])


def with_table(boundary: Boundary, codec: Codec, folder: Path, name: str) -> Boundary:
    """``boundary`` with the table of its ``codec``, which becomes the file ``name`` in ``folder``, if it has one."""
    if codec.table is None:
        return boundary
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(codec.table)
    return Boundary.model_validate({**boundary.model_dump(), "table": name})
