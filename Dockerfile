# Mien in a container, for a Space of the Docker SDK or any host: docker build -t mien . && docker run -p 7860:7860 mien
FROM python:3.11-slim

# The same packages as packages.txt: software and hardware OpenGL without a screen.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri libgles2 libglvnd0 \
    && rm -rf /var/lib/apt/lists/*

# Spaces run containers as user 1000; everything it needs is its own from the start, without a chown of all layers.
RUN useradd --create-home --uid 1000 user
USER user
ENV HOME=/home/user \
    PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_ANALYTICS_ENABLED=False \
    MIEN_DATA_DIR=/home/user/data \
    NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility
RUN mkdir -p /home/user/app /home/user/data
WORKDIR /home/user/app

# The libraries are a layer of their own: it is built again only when pyproject.toml changes.
# For a small image without a GPU: --build-arg TORCH_INDEX=<index of PyTorch's CPU wheels>.
ARG TORCH_INDEX=
COPY --chown=user pyproject.toml README.md ./
RUN mkdir -p studio models db static \
    && pip install --no-cache-dir --user ${TORCH_INDEX:+--index-url $TORCH_INDEX} "torch==2.13.0" \
    && pip install --no-cache-dir --user .

COPY --chown=user . .
RUN pip install --no-cache-dir --user --no-deps -e .

VOLUME /home/user/data
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=5)"]
CMD ["mien", "serve", "--port", "7860"]
