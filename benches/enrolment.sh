#!/usr/bin/env bash
# Times enrolment through a folder for growing numbers of holders with two stewards: benches/enrolment.sh [HOLDERS...]
set -euo pipefail
cd "$(dirname "$0")/.."
(($#)) || set -- 50 100 200 400
cargo run --quiet --profile bench -p datafuse-lab --example enrolment_time -- "$@"
