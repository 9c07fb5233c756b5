#!/usr/bin/env bash
# docker/run.sh FOLDER [COMMAND...]
# Runs a command, or a shell, in the image nmt_trt with all GPUs. FOLDER, with models and texts in it, becomes /work.
# Plans made in the container are kept in the user's cache.
set -euo pipefail
if [[ $# -lt 1 || ! -d $1 ]]; then
  echo "usage: docker/run.sh FOLDER [COMMAND...]" >&2
  exit 2
fi
folder=$(cd "$1" && pwd)
shift
cache=${NMT_TRT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nmt_trt}
mkdir -p "$cache"
terminal=()
if [[ -t 0 && -t 1 ]]; then
  terminal=(--tty)
fi
exec docker run --rm --interactive "${terminal[@]}" --gpus all --user "$(id -u):$(id -g)" --env HOME=/tmp \
  --env NMT_TRT_CACHE=/cache --volume "$cache:/cache" --volume "$folder:/work" nmt_trt "$@"
