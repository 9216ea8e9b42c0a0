"""OpenVINO: Intel CPUs, GPUs and NPUs, and any CPU that it has a plugin for."""
