"""LiteRT, formerly TensorFlow Lite: Raspberry Pi and other Arm boards."""
