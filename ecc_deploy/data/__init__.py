"""Datasets by name: ``load("fashion-mnist-sample").part("test")``."""

from ecc_deploy.data.interface import Dataset, DatasetInfo, Normalisation, Samples, dataset
from ecc_deploy.data.registry import list_datasets, load, load_for_bundle, names

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Normalisation",
    "Samples",
    "dataset",
    "list_datasets",
    "load",
    "load_for_bundle",
    "names",
]
