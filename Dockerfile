# docker build -t xailib .            docker run --rm -v "$PWD/results:/xailib/results" xailib study=smoke
# TORCH and TORCH_INDEX choose another build of PyTorch (docs/install.md); docs/install.md says how Apptainer takes the image.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends make git gcc g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /xailib
ARG TORCH=
ARG TORCH_INDEX=
COPY . .
RUN make .venv/installed PYTHON=python3 TORCH="$TORCH" TORCH_INDEX="$TORCH_INDEX"
ENV PATH=/xailib/.venv/bin:$PATH
ENTRYPOINT ["snakemake", "--config"]
CMD ["study=smoke"]
