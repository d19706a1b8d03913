#!/usr/bin/env bash
# Runs every test: units, vectors, properties, the program's snapshots, and the queue against a real Redis.
#
# Needs Rust 1.95 and a C compiler, redis-server and openssl; what is missing of the latter three is installed with apt-get
# where this user may do so. CARGO_BUILD_JOBS=N bounds the compilers at work side by side.
set -euo pipefail
cd "$(dirname "$0")"

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

if cargo nextest --version >/dev/null 2>&1; then
  say "tests (cargo nextest)"
  cargo nextest run --workspace --locked
  say "examples in the documentation"
  cargo test --doc --workspace --locked
else
  say "tests and examples in the documentation (cargo test; cargo-nextest is not installed)"
  cargo test --workspace --locked
fi

say "all tests passed"
