"""What modules give inside ONNX files for ONNX Runtime."""

from ecc_deploy.backends.onnx_layers import show_layers as show_layers
