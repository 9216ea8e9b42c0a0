"""Edge and cloud backbones, registered by name: ``build("resnet", input_shape=(1, 28, 28), classes=10)``."""

from ecc_deploy.zoo import resnet as _resnet  # noqa: F401  (registers its backbones)
from ecc_deploy.zoo.backbone import Backbone, backbone, build, names

__all__ = ["Backbone", "backbone", "build", "names"]
