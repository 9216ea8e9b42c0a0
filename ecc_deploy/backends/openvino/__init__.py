"""Intel CPUs, GPUs and NPUs by OpenVINO."""

import os

# NNCF reports its use over the network, from a process of its own, unless it is told before its import that nobody is
# there to ask.
os.environ.setdefault("NNCF_CI", "1")
