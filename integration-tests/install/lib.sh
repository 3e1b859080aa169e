# Shared by the installers: where things are kept, and one way to fail.
# Sourced, not run.

set -euo pipefail

CACHE="${CLICKPULSE_CACHE:-$HOME/.cache/clickpulse}"
mkdir -p "$CACHE"

say() { printf '[%s] %s\n' "$(basename "$0" .sh)" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# need COMMAND WHAT_IT_IS_FOR: fails with the missing tool's name rather than in the middle of a build.
need() { command -v "$1" >/dev/null || die "needs '$1' ($2), which is not on the PATH"; }

# Two runs at once (CI and a person, two checkouts) would write into each other's build folder.
one_at_a_time() {
    exec 9>"$CACHE/$1.lock"
    flock 9
}
