import numpy as np

from ecc_deploy.bundle import Boundary, TensorInfo
from ecc_deploy.quantization.boundary import sent, values_of

CODES = TensorInfo(name="boundary", dtype="uint8", shape=(6, 8, 8), layout="NCHW")
BOUNDARY = Boundary(tensor=CODES, bits=4, scale=0.25, zero_point=0)


def test_a_boundary_is_compared_as_it_arrives() -> None:
    values = np.array([[-1.0, 0.1, 0.13, 1.0, 99.0]], np.float32)
    np.testing.assert_array_equal(sent(values, BOUNDARY), [[0, 0, 0.25, 1, 3.75]])
    np.testing.assert_array_equal(values_of(np.array([0, 3], np.uint8), BOUNDARY), np.float32([0, 0.75]))
    plain = Boundary(tensor=CODES.model_copy(update={"dtype": "float32"}), bits=32)
    assert sent(values, plain) is values
    assert values_of(values, plain) is values
