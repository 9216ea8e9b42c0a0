"""Datasets by name: ``load("fashion-mnist-sample").part("test")``."""

from ecc_deploy.data.interface import Dataset, Normalisation, Samples, dataset, load, names

__all__ = ["Dataset", "Normalisation", "Samples", "dataset", "load", "names"]
