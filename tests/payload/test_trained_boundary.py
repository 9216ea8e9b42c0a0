from __future__ import annotations

import numpy as np
import torch

from ecc_deploy.data import load
from ecc_deploy.payload import TensorSpec, make_codec
from ecc_deploy.payload.ans_table import fit
from ecc_deploy.training.run import load_run


def test_on_a_trained_boundary_it_is_the_shortest() -> None:
    system = load_run("shipped:fashion-mnist").system.eval()
    data = load("fashion-mnist-sample")
    encoder = torch.nn.Sequential(system.edge.through(system.split.edge_after), system.adapter.encoder)

    def codes(part: str, samples: int) -> np.ndarray:
        images = torch.from_numpy(data.normalisation(data.part(part).images[:samples]))
        with torch.no_grad():
            return system.adapter.quantizer.codes(encoder(images)).numpy()

    seen, unseen = codes("train", 256), codes("val", 64)
    tensor = TensorSpec("uint8", unseen.shape[1:])

    def size(spec: str, table: bytes | None = None) -> float:
        codec = make_codec(spec, tensor, table)
        return float(np.mean([len(codec.encode(sample)) for sample in unseen]))

    coded = size("int4+ans", fit(seen, 4))
    assert coded < 0.6 * size("int4")
    assert coded < 0.85 * size("int4+zstd:19")
    assert coded < 0.8 * order_0_bytes(unseen, 4)
    assert coded < 1.05 * size("int4+ans", fit(np.concatenate((seen, codes("train", 1000))), 4))


def order_0_bytes(codes: np.ndarray, bits: int) -> float:
    """Mean bytes of a coder that knew exactly how often each channel has each of these very codes."""
    total = 0.0
    for channel in np.moveaxis(codes, 1, 0):
        counts = np.bincount(channel.reshape(-1), minlength=2**bits)
        total -= float((counts * np.log2(np.maximum(counts, 1) / channel.size)).sum())
    return total / 8 / len(codes)
