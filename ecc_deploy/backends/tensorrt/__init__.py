"""TensorRT: NVIDIA GPUs, by engines that are built where they run."""
