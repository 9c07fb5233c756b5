#!/usr/bin/env bash
# Builds the image nmt_trt. Arguments go to docker build: --build-arg TENSORRT_IMAGE=nvcr.io/nvidia/tensorrt:<tag>
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec docker build --file docker/Dockerfile --tag nmt_trt "$@" .
