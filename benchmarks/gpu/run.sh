#!/usr/bin/env bash
# Builds, tests and measures nmt_trt on this machine's GPU, in stages that take at most eight minutes each. A stage that
# fails is recorded and the next one begins.
#
# usage: benchmarks/gpu/run.sh [--stages STAGE,STAGE] [--results FILE] [--text FILE [--reference FILE]]
#
#   --stages     which, in this order; default: build,cpp,tests,exactness,sanitizer,steps,experiment,translate,scaling,profile
#   --results    JSON lines are appended here (default: build/gpu-results.jsonl of the repository); logs lie beside it, in FILE.logs/
#   --text       source sentences for `exactness` and `translate`, one a line (default: 60 sentences of this repository)
#   --reference  their translations, for BLEU
#
# environment: PYTHON (python3), TensorRT_ROOT (TensorRT's headers, for `build`), BUILD_DIR (build/gpu),
#   STAGE_SECONDS (480), PROCESSES (that run tests side by side; half as many as there are cores), GPU_TESTS (the pytest
#   files and folders of `tests`), NMT_TRT_TEST_SEEDS (of `sanitizer`: 3),
#   STEPS_OPTIONS, EXPERIMENT_OPTIONS, EXACTNESS_OPTIONS, TRANSLATE_OPTIONS, SCALING_OPTIONS, PROFILE_OPTIONS (further
#   options of the scripts)
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
known="build cpp tests exactness sanitizer steps experiment translate scaling profile"
python=${PYTHON:-python3}
export BUILD_DIR PYTHONUNBUFFERED=1 PROCESSES=${PROCESSES:-$((($(nproc) + 1) / 2))}
BUILD_DIR=$(realpath -m "${BUILD_DIR:-$repository/build/gpu}")

die() { echo "run.sh: $*" >&2; exit 2; }

# ---- the stages: each is run in a shell of its own, which stops at the first command that fails

stage_build() {
  local architecture
  architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d '. ')
  cmake -S . -B "$BUILD_DIR" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNMT_TRT_CUDA=ON -DNMT_TRT_BUILD_TESTS=ON \
    -DNMT_TRT_BUILD_BINDINGS=OFF -DNMT_TRT_WERROR=OFF -DCMAKE_CUDA_ARCHITECTURES="$architecture"
  cmake --build "$BUILD_DIR"
  "$python" -m pip install --no-build-isolation --no-deps --force-reinstall --no-index . \
    -C cmake.define.NMT_TRT_CUDA=ON -C cmake.define.CMAKE_CUDA_ARCHITECTURES="$architecture"
  "$python" -c 'import nmt_trt._core as core; assert core.has_cuda, "built without CUDA"'
}

# Each program in shards side by side, not by ctest: that starts a process, which starts CUDA, for every test.
stage_cpp() {
  local status=0 binary shard shards reports=$BUILD_DIR/cpp-reports
  rm -rf "$reports"
  mkdir -p "$reports"
  export GTEST_TOTAL_SHARDS=$PROCESSES
  while read -r binary; do
    shards=()
    for ((shard = 0; shard < GTEST_TOTAL_SHARDS; ++shard)); do
      run_shard "$binary" "$shard" "$reports/$(basename "$binary").$shard.xml" &
      shards+=($!)
    done
    for shard in "${shards[@]}"; do wait "$shard" || status=1; done
  done < <(find "$BUILD_DIR/tests/cpp" -name 'nmt_trt_*_tests' -type f -executable)
  if [ -z "$(ls "$reports")" ]; then
    echo "no C++ tests in $BUILD_DIR/tests/cpp: run the stage build first"
    return 1
  fi
  record --suite "C++" --junit "$reports"/*.xml
  return $status
}

# run_shard BINARY SHARD REPORT: one that dies, or is stopped after half of the stage's time, counts as a failed test.
run_shard() {
  local name status=0
  name=$(basename "$1")
  GTEST_SHARD_INDEX=$2 timeout -k 10 "$((STAGE_SECONDS / 2))" "$1" --gtest_brief=1 --gtest_output="xml:$3" || status=$?
  [ -s "$3" ] || echo "<testsuite><testcase classname='$name' name='shard $2'><failure/></testcase></testsuite>" > "$3"
  return $status
}

stage_tests() {
  local status=0 parallel= report=$BUILD_DIR/python.xml
  local tests=${GPU_TESTS:-tests/python/gpu tests/python/runtime tests/python/engines tests/python/precision}
  rm -f "$report"
  "$python" -c 'import xdist' 2> /dev/null && parallel="-n $PROCESSES --dist worksteal"
  # shellcheck disable=SC2086  # options and paths
  NMT_TRT_TEST_GPU=1 "$python" -m pytest -q -rfEs -p no:cacheprovider -p no:benchmark $parallel --junitxml "$report" $tests || status=1
  record --suite "Python, GPU" --junit "$report"
  return $status
}

stage_exactness() {
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/exactness.py" --results "$RESULTS" ${TEXT:+--text "$TEXT"} ${REFERENCE:+--reference "$REFERENCE"} \
    ${EXACTNESS_OPTIONS:-}
}

stage_sanitizer() {
  local tool binary status=0 seconds=$((STAGE_SECONDS / 2 - 10))
  export NMT_TRT_TEST_SEEDS=${NMT_TRT_TEST_SEEDS:-3} GTEST_TOTAL_SHARDS=$PROCESSES
  mapfile -t binaries < <(find "$BUILD_DIR/tests/cpp/cuda" -maxdepth 1 -type f -executable)
  if [ ${#binaries[@]} = 0 ]; then
    echo "no kernel tests in $BUILD_DIR/tests/cpp/cuda: run the stage build first"
    return 1
  fi
  for tool in memcheck racecheck; do
    for binary in "${binaries[@]}"; do
      sanitize "$tool" "$binary" "$((seconds / ${#binaries[@]}))" || status=1
    done
  done
  return $status
}

# sanitize TOOL BINARY SECONDS: its tests in shards side by side. Records the errors, -1 where a shard was stopped or
# died, or none passed a test, so that nothing was checked.
sanitize() {
  local shard found errors=0 unknown=0 passed=0 status=0 logs shards=()
  logs=$BUILD_DIR/$(basename "$2").$1
  for ((shard = 0; shard < GTEST_TOTAL_SHARDS; ++shard)); do
    # Some tests make CUDA refuse a call: that is no error.
    GTEST_SHARD_INDEX=$shard timeout -k 10 "$3" \
      compute-sanitizer --tool "$1" --report-api-errors no --error-exitcode 86 "$2" > "$logs.$shard.log" 2>&1 &
    shards+=($!)
  done
  for shard in "${!shards[@]}"; do
    wait "${shards[$shard]}" || status=1
    tail -n 5 "$logs.$shard.log"
    found=$(sed -nE 's/.*(ERROR|RACECHECK) SUMMARY: ([0-9]+) (error|hazard).*/\2/p' "$logs.$shard.log" | tail -n 1)
    [ -n "$found" ] || unknown=1
    ! grep -qE '\[  PASSED  \] [1-9]' "$logs.$shard.log" || passed=1
    errors=$((errors + ${found:-0}))
  done
  [ $unknown = 0 ] && [ $passed = 1 ] || { errors=-1; status=1; }
  record --suite "$1, $(basename "$2")" --errors "$errors"
  return $status
}

stage_steps() {
  cublas_for_ctranslate2
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/steps.py" --results "$RESULTS" ${STEPS_OPTIONS:-}
}

stage_experiment() {
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/experiment.py" --results "$RESULTS" ${EXPERIMENT_OPTIONS:-}
}

stage_translate() {
  cublas_for_ctranslate2
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/translate.py" --results "$RESULTS" ${TEXT:+--text "$TEXT"} ${REFERENCE:+--reference "$REFERENCE"} \
    ${TRANSLATE_OPTIONS:-}
}

stage_scaling() {
  cublas_for_ctranslate2
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/scaling.py" --results "$RESULTS" ${SCALING_OPTIONS:-}
}

stage_profile() {
  # shellcheck disable=SC2086  # a list of options
  "$python" "$here/profile_steps.py" --results "$RESULTS" ${PROFILE_OPTIONS:-}
}

# CTranslate2's wheel opens libcublas.so.12; CUDA 13's library does as well under that name.
cublas_for_ctranslate2() {
  local library folder
  "$python" -c 'import ctypes; ctypes.CDLL("libcublas.so.12")' 2> /dev/null && return
  library=$("$python" "$here/find_cublas.py") || return 0
  folder=$BUILD_DIR/cublas
  mkdir -p "$folder"
  ln -sf "$library" "$folder/libcublas.so.12"
  export LD_LIBRARY_PATH="$folder:$(dirname "$library")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

record() { "$python" "$here/recording.py" --results "$RESULTS" --stage "$STAGE" "$@"; }

if [ "${1:-}" = "--one-stage" ]; then # from below
  STAGE=$2
  cd "$repository"
  set -e
  "stage_$STAGE"
  exit
fi

# ---- all of them

stages=${known// /,}
RESULTS=$repository/build/gpu-results.jsonl
TEXT=
REFERENCE=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
    --stages | --results | --text | --reference) [ $# -ge 2 ] || die "$1 needs a value" ;;
    *) die "unknown argument $1; see --help" ;;
  esac
  case $1 in
    --stages) stages=$2 ;;
    --results) RESULTS=$(realpath -m "$2") ;;
    --text) TEXT=$(realpath -m "$2") ;;
    --reference) REFERENCE=$(realpath -m "$2") ;;
  esac
  shift 2
done
for stage in ${stages//,/ }; do
  [[ " $known " == *" $stage "* ]] || die "unknown stage $stage; known: ${known// /, }"
done
for file in "$TEXT" "$REFERENCE"; do
  [ -z "$file" ] || [ -f "$file" ] || die "$file: no such file"
done
[ -z "$REFERENCE" ] || [ -n "$TEXT" ] || die "--reference needs --text"

export RESULTS TEXT REFERENCE STAGE_SECONDS=${STAGE_SECONDS:-480}
mkdir -p "$RESULTS.logs"
failed=0
for stage in ${stages//,/ }; do
  echo "==== $stage"
  STAGE=$stage
  record --environment > /dev/null
  started=$(date +%s)
  timeout -k 10 "$STAGE_SECONDS" bash "$here/run.sh" --one-stage "$stage" 2>&1 | tee "$RESULTS.logs/$stage.log"
  status=${PIPESTATUS[0]}
  [ "$status" = 0 ] || failed=1
  record --status "$status" --seconds "$(($(date +%s) - started))" > /dev/null
done
echo "==== results"
"$python" "$here/table.py" "$RESULTS"
exit $failed
