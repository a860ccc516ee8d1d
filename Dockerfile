# The service, Dagster and MLflow in one image. docs/container.md says how to build and run it.
#
#   docker build --build-arg TORCH_INDEX=<index with the CPU build of torch> -t drshym .
#   docker build --build-arg TORCH_BUILD=cuda --build-arg TORCH_INDEX=<index with its CUDA build> -t drshym:cuda .

# A Python 3.11 on Debian 12. Give a digest (python@sha256:...) to build from exactly the same base again.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- the packages, in an environment of their own ---------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONHASHSEED=0
WORKDIR /build
COPY requirements/ requirements/

# First the packages that change most rarely. Every file is checked against its hash.
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements/packages.txt

# cpu or cuda.
ARG TORCH_BUILD=cpu
# The package index with this build of torch. It has no default: torch must come from where you expect it.
ARG TORCH_INDEX
RUN test -n "${TORCH_INDEX}" \
    || { echo "error: say where torch comes from: --build-arg TORCH_INDEX=ADDRESS (docs/container.md)" >&2; exit 2; }; \
    /opt/venv/bin/pip install --no-deps --only-binary :all: --index-url "${TORCH_INDEX}" \
    -r "requirements/torch-${TORCH_BUILD}.txt"

# This package. Its wheel is built in another environment, because the image needs no build tools.
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY drshym_pipeline/ drshym_pipeline/
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels . \
    && /opt/venv/bin/pip install --no-deps --no-index wheels/*.whl \
    && /opt/venv/bin/pip check \
    && /opt/venv/bin/pip uninstall --yes pip

# --- the image ------------------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE}

# GDAL in the wheel of rasterio needs libexpat, which the slim image does not have. The release of Debian fixes its
# version well enough, and security updates must not need a change here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libexpat1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 drshym \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin drshym \
    && install -d -o drshym -g drshym /data /lineage /lineage/store /lineage/mlflow /inbox

COPY --from=builder /opt/venv /opt/venv
WORKDIR /opt/drshym
# The Dagster code location, which is not part of the wheel.
COPY definitions.py workspace.yaml dagster.yaml LICENSE ./
COPY assets/ assets/
COPY resources/ resources/
COPY sensors/ sensors/
COPY deploy/ deploy/
COPY configs/ configs/
COPY docs/lineage.md docs/lineage.md

# Nothing is written outside /data, /lineage and /tmp, so the root file system can be read-only. The same hash seed as
# everywhere gives the same bytes. No tool sends usage data. A GPU is used if the container is given one.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/drshym \
    PYTHONHASHSEED=0 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    DAGSTER_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true \
    DAGSTER_GRPC_TIMEOUT_SECONDS=300 \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DAGSTER_HOME=/lineage \
    DRSHYM_INBOX=/inbox \
    DRSHYM_SERVICE_ROOT=/data \
    DRSHYM_SERVICE_STORE=/lineage/store \
    DRSHYM_SERVICE_INPUT_ROOTS=/inbox \
    DRSHYM_SERVICE_HOST=0.0.0.0 \
    DRSHYM_SERVICE_PORT=8080

USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080

# The slim image has no curl. /ready answers when every worker has loaded the model: a while on a busy machine.
HEALTHCHECK --interval=30s --timeout=10s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['DRSHYM_SERVICE_PORT']}/ready\", timeout=8)"]

# Listening on all addresses needs DRSHYM_SERVICE_TOKEN; without it the command ends with an error that says so.
CMD ["drshym", "serve"]
