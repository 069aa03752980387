# For Jetson boards with JetPack 6. UNTESTED: it has not been built or run on a board yet; see docs/jetson.md.
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0

RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential python3-venv python3-dev python3-libnvinfer python3-opencv \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/edge-inspect/bin:/usr/local/cuda/bin:$PATH
COPY . /src
# TensorRT and OpenCV are the image's own, and its OpenCV is built for numpy 1.
RUN python3 -m venv --system-site-packages /opt/edge-inspect \
    && pip install --no-cache-dir 'numpy<2' '/src[jetson]'

# Engines are built on the board's GPU; mount a volume there, or every start builds them again.
ENV EDGE_INSPECT_CACHE=/line/engines
VOLUME /line
WORKDIR /line
ENTRYPOINT ["edge-inspect"]
CMD ["run", "/line/line.toml"]
