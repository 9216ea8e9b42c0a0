"""What modules give inside TensorRT's files, as ONNX Runtime computes them."""

from ecc_deploy.backends.onnx_layers import show_layers as show_layers
