"""Bundles of one system side by side: targets and precisions by size, accuracy, agreement with floats, latency."""
