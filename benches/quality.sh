#!/usr/bin/env bash
# Times `contract check` on a generated CSV file with ten rules, beside the same checks in DuckDB, and compares the counts.
# Usage: benches/quality.sh [ROWS] [FOLDER]    DATAFUSE=path/to/datafuse uses that program and builds none; PYTHON has duckdb
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-5000000} folder=${2:-${TMPDIR:-/tmp}}/datafuse-quality
python=${PYTHON:-target/emulators/python/bin/python}
script=$(realpath benches/quality_duckdb.py)

if [[ -z ${DATAFUSE:-} ]]; then
  cargo build --locked --profile bench -p datafuse-cli
  DATAFUSE=target/release/datafuse
fi
program=$(realpath "$DATAFUSE") python=$(realpath -s "$python")
mkdir -p "$folder"
cd "$folder"
[[ -s data-$rows.csv ]] || "$python" "$script" generate "$rows" "data-$rows.csv"
cat >contract.yaml <<'YAML'
apiVersion: v3.1.0
kind: DataContract
id: bench
schema:
  - name: rows
    properties:
      - { name: id, logicalType: integer, required: true, unique: true }
      - { name: email, logicalType: string, required: true, logicalTypeOptions: { pattern: "^[^@]+@[^@]+[.][a-z]+$", maxLength: 40 } }
      - { name: segment, logicalType: string, enum: [retail, business, premium] }
      - { name: balance, logicalType: number, logicalTypeOptions: { minimum: 0, maximum: 100000 } }
      - { name: born, logicalType: date, logicalTypeOptions: { minimum: "1900-01-01" } }
    quality:
      - { metric: rowCount, mustBeGreaterThan: 0 }
      - { type: sql, query: "SELECT COUNT(*) FROM {object} WHERE segment = 'premium' AND balance < 10", mustBe: 0 }
YAML
began=$(date +%s.%N)
"$program" contract check contract.yaml --data "data-$rows.csv" --json >datafuse.json 2>/dev/null || true
datafuse=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
"$python" "$script" compare "data-$rows.csv" datafuse.json "$datafuse"
