# The image of the bridge: its wheel and exactly the packages of requirements/service.txt, run by an unprivileged user.
# The wheel is built by exactly those of requirements/build.txt. Python's image is taken by its tag, without a digest: see
# docs/security.md, What is installed.
FROM python:3.13-slim-trixie AS build
WORKDIR /source
COPY requirements/service.txt requirements/build.txt requirements/
RUN python -m venv /opt/stbridge && \
    /opt/stbridge/bin/pip install --no-cache-dir --require-hashes --requirement requirements/service.txt && \
    python -m venv /opt/build && \
    /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY stbridge stbridge
COPY systemd systemd
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /opt/wheel && \
    /opt/stbridge/bin/pip install --no-cache-dir --no-deps /opt/wheel/*.whl && \
    /opt/stbridge/bin/pip uninstall --yes pip

FROM python:3.13-slim-trixie
# `source` links the image to the repository in the registry.
LABEL org.opencontainers.image.title="stbridge" \
      org.opencontainers.image.description="Publishes the state of Syncthing to MQTT" \
      org.opencontainers.image.licenses="MPL-2.0" \
      org.opencontainers.image.vendor="stbridge contributors" \
      org.opencontainers.image.source="https://github.com/stbridge/stbridge" \
      org.opencontainers.image.url="https://stbridge.github.io/stbridge/" \
      org.opencontainers.image.documentation="https://stbridge.github.io/stbridge/"
COPY --from=build /opt/stbridge /opt/stbridge
# Without GLIBC_TUNABLES, glibc keeps up to 0.2 MB of freed memory for each thread.
ENV PATH=/opt/stbridge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 GLIBC_TUNABLES=glibc.malloc.tcache_count=0
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["stbridge", "health"]
ENTRYPOINT ["stbridge"]
CMD ["run"]
# Last, because they change with every build. .github/workflows/release.yml passes them.
ARG VERSION=unreleased
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
