"""Models for Triton's Python backend. Each is copied into a model repository and runs there by itself.

What they import comes with Triton, with the repository (the payload codecs), or from numpy, zstandard and pillow; the
engine needs onnxruntime.
"""
