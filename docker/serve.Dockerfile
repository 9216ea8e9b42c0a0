# The cloud half on a server without a GPU: what `ecc-deploy export --serving kserve` names as its container.
#
# Not run here: no container runtime was at hand.
#
#   make wheel && docker build -f docker/serve.Dockerfile -t ecc-deploy:latest .
#   docker run --rm -p 8001:8001 -v $PWD/bundle:/mnt/models ecc-deploy:latest
FROM python:3.12-slim

COPY dist/*.whl constraints.txt /tmp/wheels/
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --constraint /tmp/wheels/constraints.txt onnxruntime /tmp/wheels/*.whl \
    && rm -r /tmp/wheels

RUN useradd --uid 10001 --create-home ecc
USER 10001
EXPOSE 8001
ENTRYPOINT ["ecc-deploy"]
CMD ["serve", "/mnt/models", "--host", "0.0.0.0"]
