# The cloud half on a server with an NVIDIA GPU: ONNX Runtime's CUDA execution provider, or TensorRT.
#
# Not run here: no GPU was at hand. Written against NVIDIA's CUDA runtime image with cuDNN for Ubuntu 24.04, whose Python
# is 3.12; onnxruntime-gpu 1.20 and newer is built for CUDA 12 and cuDNN 9.
#
#   make wheel && docker build -f docker/cuda-cloud.Dockerfile -t ecc-deploy:cuda .
#   docker run --gpus all --rm -p 8001:8001 -v $PWD/bundle:/bundle ecc-deploy:cuda
ARG CUDA=12.6.3
FROM nvcr.io/nvidia/cuda:${CUDA}-cudnn-runtime-ubuntu24.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The versions are those of Ubuntu 24.04, which the image fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

COPY dist/*.whl /tmp/wheels/
ENV PATH=/opt/ecc/bin:$PATH
# onnxruntime-gpu has the module onnxruntime: the extra would bring the one for CPUs beside it.
# hadolint ignore=DL3013
RUN python3 -m venv /opt/ecc \
    && pip install --no-cache-dir /tmp/wheels/*.whl 'onnxruntime-gpu>=1.20' 'tensorrt-cu12>=10.3,<11' \
    && rm -r /tmp/wheels

RUN useradd --uid 10001 --create-home ecc && install --directory --owner ecc /cache
USER 10001
ENV XDG_CACHE_HOME=/cache
EXPOSE 8001
ENTRYPOINT ["ecc-deploy"]
CMD ["serve", "/bundle", "--host", "0.0.0.0"]
