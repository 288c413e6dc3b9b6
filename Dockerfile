# The harness in a container: `docker compose run --rm bench ci`. BASE has Python 3.11 or later, and pip.
ARG BASE=python:3.13-slim
FROM ${BASE}
WORKDIR /loadtest
COPY pyproject.toml README.md LICENSE docker-compose.yml ./
COPY locustfiles locustfiles
COPY loadtest loadtest
RUN python3 -m pip install --no-cache-dir .
WORKDIR /bench
ENTRYPOINT ["loadtest"]
