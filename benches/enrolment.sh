#!/usr/bin/env bash
# Times enrolment through a folder for growing numbers of holders with two stewards: benches/enrolment.sh [HOLDERS...]
# In the dev profile, in which the cryptography is optimised and the rest is not: an upper bound.
set -euo pipefail
cd "$(dirname "$0")/.."
(($#)) || set -- 50 100 200 400
cargo run --quiet -p datafuse-lab --example enrolment_time -- "$@"
