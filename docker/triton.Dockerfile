# Triton with what the decode step of `ecc-deploy export --serving triton` needs.
#
# Not run here: no container runtime was at hand. The repository was served by the tritonserver of nvidia-pytriton.
#
#   docker build -f docker/triton.Dockerfile -t triton-ecc .
#   docker run --rm --gpus all -p 8001:8001 -v $PWD/models:/models triton-ecc tritonserver --model-repository /models
ARG RELEASE=25.08
FROM nvcr.io/nvidia/tritonserver:${RELEASE}-py3

# numpy is there, of the version that Triton's Python backend was built with.
RUN pip install --no-cache-dir zstandard==0.25.0 pillow==12.3.0
