#!/usr/bin/env bash
# Times the making of the report beside the matching that it follows, where every set of holders is a region.
# Usage: benches/report.sh [ROWS] [HOLDERS] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --profile bench -p datafuse-engine --example match_bench
target/release/examples/match_bench report "${1:-1000000}" "${2:-10}" "${3:-${TMPDIR:-/tmp}}"
