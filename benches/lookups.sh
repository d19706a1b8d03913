#!/usr/bin/env bash
# Times look-ups in fused files of few and of many rows, beside SQLite with the same keys, in one run on one machine. Needs python3.
# Usage: benches/lookups.sh [ROWS] [HOLDERS] [FOLDER]; PROFILE=dev measures a build in which the engine alone is optimised
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-20000000} holders=${2:-1} folder=$(mktemp -d -p "${3:-${TMPDIR:-/tmp}}")
trap 'rm -rf "$folder"' EXIT

if [[ ${PROFILE:-bench} == dev ]]; then
    cargo build --locked --config 'profile.dev.package.datafuse-engine.opt-level=3' -p datafuse-cli -p datafuse-workload \
        -p datafuse-engine -p datafuse-lab -p datafuse-space --example lookup_bench
    bench=target/debug/examples/lookup_bench
else
    cargo build --locked --profile bench -p datafuse-engine --example lookup_bench
    bench=target/release/examples/lookup_bench
fi
for rows in 1000000 "$rows"; do
    "$bench" write "$rows" "$holders" "$folder"
    for _ in 1 2 3; do "$bench" look "$rows" "$holders" "$folder"; done
    for _ in 1 2 3; do python3 benches/lookups_sqlite.py "$rows" "$holders" "$folder"; done
done
