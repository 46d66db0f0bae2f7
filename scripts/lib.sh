# What the scripts beside this file share. Source it; do not run it.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
started=$SECONDS
log=$(mktemp "${TMPDIR:-/tmp}/pkcs11-pool-log.XXXXXX")
heartbeat=
# what runs beside the steps: its output's file by its process id
declare -A beside=()
# tools take CI for a terminal with colours
[ -t 1 ] || export NO_COLOR=1

cleanup() {
  stop_heartbeat
  local pid
  # each of these leads a group of its own
  for pid in "${!beside[@]}"; do kill -- "-$pid" 2>/dev/null; done
  rm -f "$log" "${beside[@]}"
}
trap cleanup EXIT

say() { printf '[%4d s] %s\n' $((SECONDS - started)) "$*"; }

# fail STATUS MESSAGE: gives up; a script may define `last_words` for what it always prints at the end
fail() {
  local status=$1
  shift
  printf '\n%s\n' "$*" >&2
  if declare -F last_words >/dev/null; then last_words; fi
  exit "$status"
}

start_heartbeat() {
  # `read` on a pipe that nobody writes to waits without a child process, which would outlive this one
  (while true; do
    read -rt 10 <> <(:)
    say "  ... still $1"
  done) &
  heartbeat=$!
}

stop_heartbeat() {
  [ -z "$heartbeat" ] || { kill "$heartbeat" && wait "$heartbeat"; } 2>/dev/null
  heartbeat=
}

# step WHAT COMMAND...: runs a command quietly, says how long it took, and shows its output when it fails
step() {
  local what=$1 before=$SECONDS status=0
  shift
  say "$what"
  start_heartbeat "$what"
  "$@" >"$log" 2>&1 || status=$?
  stop_heartbeat
  if [ "$status" -eq 0 ]; then
    say "  done in $((SECONDS - before)) s"
  else
    say "  FAILED with status $status after $((SECONDS - before)) s; its output:"
    sed 's/^/    /' "$log"
  fi
  return "$status"
}

# begin COMMAND...: runs a command beside the steps that follow; its process id is then $begun
begin() {
  local output
  output=$(mktemp "${TMPDIR:-/tmp}/pkcs11-pool-log.XXXXXX")
  setsid "$@" >"$output" 2>&1 &
  begun=$!
  beside[$begun]=$output
}

# end_of PID: waits for what was begun, and gives its output where it failed
end_of() {
  local status=0
  wait "$1" || status=$?
  [ "$status" -eq 0 ] || cat "${beside[$1]}"
  rm -f "${beside[$1]}"
  unset "beside[$1]"
  return "$status"
}

# need_tools: Node and the tools to compile the addon
need_tools() {
  command -v node >/dev/null || fail 3 'node is missing: install Node.js 20.19 or later, then run this again'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail 3 "Node.js $(node --version) is too old: install 20.19 or later, then run this again"
  command -v npm >/dev/null || fail 3 'npm is missing: install it, then run this again'
  # where Node came with its headers, node-gyp need not fetch them
  local prefix
  prefix=$(cd "$(dirname "$(readlink -f "$(command -v node)")")/.." && pwd)
  if [ -z "${npm_config_nodedir:-}" ] && [ -f "$prefix/include/node/node_api.h" ]; then export npm_config_nodedir=$prefix; fi
}

# need_packages PROGRAM-OR-FILE:DEBIAN-PACKAGE...: installs the packages whose program or file is not there
need_packages() {
  local missing=() pair want
  for pair in "$@"; do
    want=${pair%%:*}
    command -v "$want" >/dev/null || [ -e "$want" ] || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  local by_hand="install by hand what is missing, on Debian or Ubuntu with: apt-get install ${missing[*]}"
  command -v apt-get >/dev/null || fail 3 "missing: ${missing[*]}. This machine has no apt-get: $by_hand"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail 3 "missing: ${missing[*]}. Not root, and no sudo here: $by_hand"
    if [ -t 0 ]; then as_root=(sudo); else as_root=(sudo -n); fi
    "${as_root[@]}" true || fail 3 "missing: ${missing[*]}. sudo refuses: $by_hand"
  fi
  say "will install from the system's packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  step 'reading the package lists' "${as_root[@]}" apt-get update -q || fail 3 "apt-get update failed: $by_hand"
  step "installing ${missing[*]}" "${as_root[@]}" apt-get install -qy --no-install-recommends "${missing[@]}" ||
    fail 3 "apt-get install failed: $by_hand"
}

compilers=(python3:python3 make:make g++:g++)

# the real tokens that tests run on, and OpenSC's tool, which looks at them
libraries=/usr/lib/$(uname -m)-linux-gnu
# shellcheck disable=SC2034
tokens=(
  softhsm2-util:softhsm2 pkcs11-tool:opensc
  /usr/sbin/pkcsslotd:opencryptoki
  swtpm:swtpm "$libraries/libtpm2_pkcs11.so.1:libtpm2-pkcs11-1" tpm2_ptool:libtpm2-pkcs11-tools tpm2_load:tpm2-tools
  /usr/sbin/tpm2-abrmd:tpm2-abrmd "$libraries/libtss2-tcti-tabrmd.so.0:libtss2-tcti-tabrmd0" "$libraries/libtss2-tcti-swtpm.so.0:libtss2-tcti-swtpm0"
  dbus-daemon:dbus-daemon dbus-send:dbus-bin
  "$libraries/libsoftokn3.so:libnss3"
  p11-kit:p11-kit "$libraries/pkcs11/p11-kit-client.so:p11-kit-modules"
)

# better-sqlite3 is built for one Node, by its version of V8
sqlite=$root/node_modules/better-sqlite3/build/Release/better_sqlite3.node
sqlite_loads() { (cd "$root" && node -e 'new (require("better-sqlite3"))(":memory:")') 2>/dev/null; }
# its build, where one is under way: it takes one processor a minute, which others use meanwhile
sqlite_build=
finish_sqlite() {
  [ -n "$sqlite_build" ] || return 0
  step 'building better-sqlite3, which keeps accounts and the audit (begun before)' end_of "$sqlite_build"
}

install_dependencies() {
  local marker=$root/node_modules/.installed-lock hash
  hash=$(sha256sum <"$root/package-lock.json")
  if [ -f "$marker" ] && [ "$(cat "$marker")" = "$hash" ]; then
    say 'npm packages are those of package-lock.json: nothing to install'
  else
    # install scripts stay off: of two packages they are needed, and ours is built below
    step 'installing npm packages' npm ci --ignore-scripts --no-audit --no-fund --prefix "$root" || return
    step 'building pkcs11js, the binding that tests and benchmarks compare with' npm rebuild pkcs11js --prefix "$root" || return
  fi
  printf '%s\n' "$hash" >"$marker"
  sqlite_loads || {
    begin npm rebuild better-sqlite3 --build-from-source --prefix "$root"
    sqlite_build=$begun
  }
}

# build [PROJECT...]: what is native and the TypeScript, of all, or of the given projects with what they need (the library's addon), and
# what install_dependencies has begun
build() {
  local only=()
  [ $# -eq 0 ] || only=(--workspace pkcs11-pool)
  step 'building what is native' npm run --silent build:native ${only[@]+"${only[@]}"} --prefix "$root" || return
  (cd "$root" && step 'compiling TypeScript' node node_modules/typescript/bin/tsc -b "$@") || return
  finish_sqlite
}
