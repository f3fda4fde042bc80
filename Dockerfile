# The observer, and nothing that only builds it. `docker build -t inbox-observer .`

FROM python:3.13-slim AS build
WORKDIR /build
# The environment gets no pip of its own: the one of this stage fills it from outside.
RUN python -m venv --without-pip /opt/observer
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/opt/observer/bin/python
# Dependencies first: their layer is built again only when they change.
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt
COPY . .
RUN pip install --no-deps .

FROM python:3.13-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="inbox-observer" \
      org.opencontainers.image.description="One-to-one chat over MQTT: RabbitMQ in front, policies and storage behind." \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# A fixed number, so that files in volumes keep their owner from one version to the next. The folders are the mount
# points of volumes: a new volume takes over the owner and the mode of the folder below it.
RUN groupadd --gid 10001 observer \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin observer \
    && install --directory --owner=10001 --group=10001 --mode=0750 \
        /srv/observer /srv/observer/var /srv/observer/rabbitmq /srv/observer/rabbitmq-data /srv/observer/mongo
COPY --from=build /opt/observer /opt/observer
# In a container every address of its own is private until a port is published.
ENV PATH=/opt/observer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OBSERVER_API__HOST=0.0.0.0
WORKDIR /srv/observer
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('OBSERVER_API__PORT', '8080')}/readyz\", timeout=4)"]
ENTRYPOINT ["observer"]
CMD ["run"]
