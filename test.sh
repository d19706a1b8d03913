#!/usr/bin/env bash
# Runs every test: units, vectors, properties, the program's snapshots, the queue against a real Redis, mailboxes and buckets
# against emulators of S3, Google Cloud Storage and Azure, and the report's page in a real browser. Then those of the group and the
# protocol again with each of the group's backends that this machine can run, and a million points with all.
#
# Needs Rust 1.95 and a C compiler, redis-server, openssl, Python with venv, Node.js, npm and Chromium (or Chrome); what is missing
# of these (not of Rust) is installed with apt-get where this user may do so. The emulators are installed under target/emulators, and
# what drives the browser under target/browser, once.
# CARGO_BUILD_JOBS=N bounds the compilers at work side by side.
set -euo pipefail
cd "$(dirname "$0")"

# The first run is with the backend that everybody gets.
unset DATAFUSE_GROUP_BACKEND

say() { printf '\n== %s\n' "$*"; }
missing() { ! command -v "$1" >/dev/null 2>&1; }

# Where rustup puts it, in case this shell was open before.
PATH="$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin"
command -v cargo >/dev/null 2>&1 || {
  echo "Error: cargo not found." >&2
  echo "Try: install Rust 1.95 or later, see https://rustup.rs" >&2
  exit 1
}

packages=()
if missing cc; then packages+=(gcc libc6-dev); fi
if missing redis-server; then packages+=(redis-server); fi
if missing openssl; then packages+=(openssl); fi
if missing age; then packages+=(age); fi
if missing python3 || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then packages+=(python3 python3-venv); fi
if missing node; then packages+=(nodejs); fi
if missing npm; then packages+=(npm); fi
if missing chromium && missing chromium-browser && missing google-chrome && missing google-chrome-stable; then packages+=(chromium); fi
if ((${#packages[@]})); then
  as_root=()
  if [[ $(id -u) != 0 ]]; then
    if missing sudo; then as_root=(false); else as_root=(sudo); fi
  fi
  if missing apt-get || [[ ${as_root[*]:-} == false ]]; then
    echo "Error: the tests need ${packages[*]}, and this user cannot install them here." >&2
    echo "Try: install them with the system's package manager, then run $0 again" >&2
    exit 1
  fi
  say "installing ${packages[*]}"
  ${as_root[@]+"${as_root[@]}"} apt-get update -qq
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

# The versions that the tests were written with; another line here installs them anew.
moto='moto[server]==5.2.5' azurite='azurite@3.35.0' duckdb='duckdb==2.0.1' pyarrow='pyarrow==26.0.1'
manifests='kubernetes-validate==1.37.0' vectors='cryptography==50.0.2'
tools=target/emulators
if [[ $(cat "$tools/installed" 2>/dev/null) != "$moto $azurite $duckdb $pyarrow $manifests $vectors" ]]; then
  say "installing $moto, $azurite, $duckdb, $pyarrow, $manifests and $vectors in $tools"
  rm -rf "$tools"
  mkdir -p "$tools"
  if ! { python3 -m venv "$tools/python" && "$tools/python/bin/python" -m pip install --quiet "$moto" "$duckdb" "$pyarrow" "$manifests" "$vectors" &&
    npm install --prefix "$tools" --no-audit --no-fund --ignore-scripts --silent "$azurite"; }; then
    echo "Error: the emulators of object stores, DuckDB, pyarrow and what the checks in Python need cannot be installed." >&2
    echo "Try: see that pip and npm reach their registries, then run $0 again" >&2
    exit 1
  fi
  echo "$moto $azurite $duckdb $pyarrow $manifests $vectors" >"$tools/installed"
fi
with_emulators=("$tools/python/bin/python" tests/emulators.py env DATAFUSE_TEST_EMULATORS=required DATAFUSE_TEST_BROWSER=required)

playwright='playwright-core@1.65.1' axe='axe-core@4.14.1' drivers=target/browser
if [[ $(cat "$drivers/installed" 2>/dev/null) != "$playwright $axe" ]]; then
  say "installing $playwright and $axe in $drivers"
  rm -rf "$drivers"
  mkdir -p "$drivers"
  if ! npm install --prefix "$drivers" --no-audit --no-fund --ignore-scripts --silent "$playwright" "$axe"; then
    echo "Error: what drives the browser cannot be installed." >&2
    echo "Try: see that npm reaches its registry, then run $0 again" >&2
    exit 1
  fi
  echo "$playwright $axe" >"$drivers/installed"
fi

say "test vectors, computed by other code"
"$tools/python/bin/python" test-vectors/check.py

say "manifests for Kubernetes"
"$tools/python/bin/kubernetes-validate" --strict --no-warn deploy/kubernetes/{namespace,statefulset,service,networkpolicy}.yaml

if cargo nextest --version >/dev/null 2>&1; then
  say "tests (cargo nextest)"
  "${with_emulators[@]}" cargo nextest run --workspace --locked
  say "examples in the documentation"
  cargo test --doc --workspace --locked
  # Of the same build: with -p in the place of a filter, features would be others, and much be compiled again.
  group_and_core=(cargo nextest run --workspace --locked -E 'package(datafuse-group) + package(datafuse-core)')
else
  say "tests and examples in the documentation (cargo test; cargo-nextest is not installed)"
  "${with_emulators[@]}" cargo test --workspace --locked
  group_and_core=(cargo test -p datafuse-group -p datafuse-core --locked --lib --tests)
fi

say "backends of the group (release build of the crate)"
backends=$(cargo run --release -p datafuse-group --example backends --locked)
printf '%s\n' "$backends"
tested=() skipped=()
while IFS= read -r line <&3; do
  name=${line%%:*}
  if [[ $line == "$name: runs here" ]]; then
    say "tests of the group and the protocol with the backend $name"
    DATAFUSE_GROUP_BACKEND=$name "${group_and_core[@]}"
    tested+=("$name")
  else
    say "no tests with the backend $name: ${line#*does not run here: }"
    skipped+=("$name (${line#*does not run here: })")
  fi
done 3<<<"$backends"

say "a million points through every backend, compared with curve25519-dalek one at a time (release build, minutes)"
cargo test --release -p datafuse-group --test backends --locked -- --ignored --nocapture

say "all tests passed"
all_skipped=$(printf '; %s' "${skipped[@]:-none}")
echo "group backends tested: ${tested[*]}; skipped: ${all_skipped#; }"
