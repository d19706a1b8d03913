#!/usr/bin/env bash
# Times `protect` and the FUSE event, file to file, on each backend of the group that this machine has, in one run.
# Usage: benches/files.sh [ROWS] [FOLDER]      DATAFUSE=path/to/datafuse uses that program and builds none
set -euo pipefail
cd "$(dirname "$0")/.."
rows=${1:-1000000} folder=${2:-${TMPDIR:-/tmp}}/datafuse-files

if [[ -z ${DATAFUSE:-} ]]; then
  cargo build --locked --profile bench -p datafuse-cli
  DATAFUSE=target/release/datafuse
fi
program=$(realpath "$DATAFUSE")
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
unset DATAFUSE_GROUP_BACKEND
quietly() { "$program" "$@" >/dev/null 2>>log || { cat log >&2; exit 1; }; }

quietly demo --generate-only --rows "$rows" --overlap 0.25 --seed 7 --out gen
for party in w acme globex; do "$program" keygen --out "$party.key" >"$party.name" 2>>log; done
quietly space init --id files --workload "$(cat w.name)" --holder acme="$(cat acme.name)" \
  --holder globex="$(cat globex.name)" --user insights --identifier email --out space.yaml
quietly run INITIALIZE --key w.key
for party in acme globex acme; do quietly enrol --party "$party" --key "$party.key" --yes; done

# Prints one line of the table: what, on which backend, and the time of the command.
timed() {
  local work=$1 records=$2 backend=$3 wall user system
  shift 3
  read -r wall user system < <(
    { TIMEFORMAT='%R %U %S'; time DATAFUSE_GROUP_BACKEND=$backend "$program" "$@" >/dev/null 2>>log; } 2>&1
  )
  awk -v w="$work" -v b="$backend" -v n="$records" -v r="$wall" -v u="$user" -v s="$system" 'BEGIN {
    printf "| %-8s | %-8s | %8.1f | %7.1f | %15.2f | %11d |\n", w, b, r, u + s, (u + s) / n * 1e6, n / r }'
}

echo "| work     | backend  | wall s   | CPU s   | CPU us a record | rows/s      |"
echo "| -------- | -------- | -------- | ------- | --------------- | ----------- |"
for backend in portable avx2 ifma; do
  if ! DATAFUSE_GROUP_BACKEND=$backend "$program" doctor >/dev/null 2>>log; then
    echo "$backend: does not run here" >&2
    continue
  fi
  for party in acme globex; do
    column=$(head -1 "gen/source/$party.csv" | tr ',;' '\n\n' | grep -i mail)
    timed protect "$rows" "$backend" protect "gen/source/$party.csv" --party "$party" --key "$party.key" \
      --identifier email="$column"
  done
  timed fuse $((2 * rows)) "$backend" run FUSE --key w.key
done
