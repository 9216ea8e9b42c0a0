# The edge half on a Jetson with JetPack 6: TensorRT of the JetPack, ecc-deploy's runtime, no torch.
#
# Not run here: no Jetson was at hand. Written against NVIDIA's l4t-jetpack image, whose tag names the Jetson Linux release
# (r36.4.0 is JetPack 6.1; take the one that the device runs), with CUDA, TensorRT and its Python 3.10 bindings in it.
#
#   make wheel && docker build -f docker/jetson.Dockerfile -t ecc-deploy:jetson .
#   docker run --runtime nvidia --rm -v $PWD/bundle:/bundle -v ecc-cache:/cache ecc-deploy:jetson compile /bundle --side edge
#   docker run --runtime nvidia --rm -v $PWD/bundle:/bundle -v ecc-cache:/cache ecc-deploy:jetson bench /bundle --cloud HOST:8001
ARG RELEASE=r36.4.0
FROM nvcr.io/nvidia/l4t-jetpack:${RELEASE}

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The versions are those of the JetPack and of Ubuntu 22.04, which the image fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip python3-libnvinfer \
    && rm -rf /var/lib/apt/lists/*

COPY dist/*.whl /tmp/wheels/
# The wheel that was copied; its dependencies are for Python 3.10 and aarch64.
# hadolint ignore=DL3013
RUN python3 -m pip install --no-cache-dir /tmp/wheels/*.whl && rm -r /tmp/wheels

RUN useradd --uid 10001 --create-home ecc && install --directory --owner ecc /cache
USER 10001
# Engines are built once and kept: mount a volume here.
ENV XDG_CACHE_HOME=/cache
ENTRYPOINT ["ecc-deploy"]
CMD ["doctor"]
