#!/usr/bin/env bash
# Builds a fuzz target with the stable compiler and runs it: fuzz/run.sh TARGET [SECONDS] [libFuzzer's options].
#
# Without SECONDS, or with 0, it runs until it is stopped or finds something. Needs a C++ compiler. What it finds is put
# into fuzz/artifacts/TARGET/; fuzz/run.sh TARGET 0 FILE runs that one input again.
set -euo pipefail
cd "$(dirname "$0")"

target=${1:-}
seconds=${2:-0}
if [[ -z $target || ! -f fuzz_targets/$target.rs || ! $seconds =~ ^[0-9]+$ ]]; then
  targets=(fuzz_targets/*.rs)
  targets=("${targets[@]##*/}")
  echo "usage: fuzz/run.sh TARGET [SECONDS] [libFuzzer's options]; targets: ${targets[*]%.rs}" >&2
  exit 2
fi
shift $(($# < 2 ? $# : 2))

# A folder of its own, as other flags would make these builds and plain ones undo each other.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
RUSTC_WRAPPER=$PWD/instrument FUZZ_TARGET=$target cargo build --release --locked --bin "$target"

mkdir -p "corpus/$target" "artifacts/$target"
inputs=("corpus/$target")
for argument in "$@"; do
  if [[ -e $argument ]]; then inputs=(); fi
done
exec "$CARGO_TARGET_DIR/release/$target" \
  -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -max_len=4096 -len_control=10 \
  -entropic_scale_per_exec_time=1 "$@" ${inputs[@]+"${inputs[@]}"}
