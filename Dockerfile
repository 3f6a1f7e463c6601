# The image of the bridge: the wheel in a virtual environment, run by an unprivileged user.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY stbridge stbridge
RUN python -m venv /opt/stbridge && /opt/stbridge/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/stbridge /opt/stbridge
ENV PATH=/opt/stbridge/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["stbridge", "health"]
ENTRYPOINT ["stbridge"]
CMD ["run"]
