"""Edge and cloud backbones by name: ``build("resnet", input_shape=(1, 28, 28), classes=10)``; and your own models."""

from ecc_deploy.zoo import mobilenet as _mobilenet  # noqa: F401  (registers its backbone)
from ecc_deploy.zoo import resnet as _resnet  # noqa: F401
from ecc_deploy.zoo.backbone import Backbone, StagedBackbone
from ecc_deploy.zoo.checkpoints import load_weights
from ecc_deploy.zoo.registry import backbone, build, names

__all__ = ["Backbone", "StagedBackbone", "backbone", "build", "load_weights", "names"]
