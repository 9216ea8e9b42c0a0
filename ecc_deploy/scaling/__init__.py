"""The cloud halves of a bundle behind servers that scale them out: Triton, KServe, Ray Serve."""
