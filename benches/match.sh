#!/usr/bin/env bash
# Times matching against DuckDB grouping the same keys, in one run on one machine. Needs python3; DuckDB comes from PyPI.
# Usage: benches/match.sh [ROWS] [HOLDERS] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-10000000} holders=${2:-2} folder=${3:-${TMPDIR:-/tmp}}

venv=$folder/datafuse-bench/venv
[[ -x $venv/bin/python ]] || { mkdir -p "$folder/datafuse-bench"; python3 -m venv "$venv"; "$venv/bin/pip" -q install 'duckdb==2.0.0'; }
cargo build --locked --profile bench -p datafuse-engine --example match_bench

target/release/examples/match_bench match "$rows" "$holders" "$folder"
"$venv/bin/python" benches/match_duckdb.py "$rows" "$holders" "$folder/datafuse-bench"
target/release/examples/match_bench match "$rows" "$holders" "$folder"
