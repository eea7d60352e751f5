# One image for all of Outdial: the function host, the dialer and every other command.
#   docker build -t outdial:0.1.0 .
# For production, pin the base image by its digest: --build-arg PYTHON=python:3.12.12-slim-trixie@sha256:...
ARG PYTHON=python:3.12.12-slim-trixie
# Node only fetches the player of live calls; the image has none.
ARG NODE=node:22.22.0-trixie-slim

FROM ${NODE} AS player
WORKDIR /player
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# Dependencies first: they change less often than the code, so their layer stays cached.
COPY requirements.build.lock requirements.runtime.lock ./
RUN pip install --require-hashes -r requirements.build.lock \
 && python -m venv --without-pip /opt/outdial \
 && pip --python /opt/outdial/bin/python install --require-hashes -r requirements.runtime.lock
# The wheel includes supabase/ with the migrations and the functions.
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
COPY supabase supabase
COPY --from=player /player/node_modules node_modules
RUN pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && pip --python /opt/outdial/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Outdial" \
      org.opencontainers.image.description="Outbound AI-voice call campaigns over Retell AI, on Postgres" \
      org.opencontainers.image.licenses="MIT"
# The manifests name the same uid, so that a cluster can verify that it is not root.
RUN groupadd --gid 10001 outdial \
 && useradd --uid 10001 --gid outdial --no-create-home --home-dir /var/tmp --shell /usr/sbin/nologin outdial
COPY --from=build /opt/outdial /opt/outdial
ENV PATH=/opt/outdial/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The only writable directory: bundles of deployed functions and temporary files of workers. Nothing in it is permanent.
ENV TMPDIR=/var/tmp OUTDIAL_HOME=/var/tmp/outdial
# To add your own functions: COPY supabase supabase in an image FROM this one.
WORKDIR /srv/outdial
USER 10001:10001
EXPOSE 8080
# This checks the host. A dialer has no port: start its container with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/functions/v1/_internal/health', timeout=4)"]
ENTRYPOINT ["outdial"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--behind-proxy"]
