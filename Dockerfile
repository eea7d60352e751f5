# Outdial in one image: the function host, the dialer and every command.
#   docker build -t outdial:0.1.0 .
# Where you build for production, pin the base by its digest: --build-arg PYTHON=python:3.12.12-slim-trixie@sha256:...
ARG PYTHON=python:3.12.12-slim-trixie

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# Dependencies first: they change less often than the code, and their layer is kept.
COPY requirements.build.lock requirements.runtime.lock ./
RUN pip install --require-hashes -r requirements.build.lock \
 && python -m venv --without-pip /opt/outdial \
 && pip --python /opt/outdial/bin/python install --require-hashes -r requirements.runtime.lock
# The wheel carries supabase/, with the migrations and the functions.
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY supabase supabase
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && pip --python /opt/outdial/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Outdial" \
      org.opencontainers.image.description="Outbound AI-voice call campaigns over Retell AI, on Postgres" \
      org.opencontainers.image.licenses="MIT"
# The number is the one that the manifests name: a cluster proves by it that nobody is root.
RUN groupadd --gid 10001 outdial \
 && useradd --uid 10001 --gid outdial --no-create-home --home-dir /var/tmp --shell /usr/sbin/nologin outdial
COPY --from=build /opt/outdial /opt/outdial
ENV PATH=/opt/outdial/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The one place that must be writable: bundles of deployed functions and files of workers, nothing to keep.
ENV TMPDIR=/var/tmp OUTDIAL_HOME=/var/tmp/outdial
# Functions of your own: COPY supabase supabase, in an image FROM this one.
WORKDIR /srv/outdial
USER 10001:10001
EXPOSE 8080
# For the host. A dialer has no port: start its container with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/functions/v1/_internal/health', timeout=4)"]
ENTRYPOINT ["outdial"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--behind-proxy"]
