#!/usr/bin/env bash
# The tests on real services, from nothing: installs OpenSSL, Kafka, InfluxDB, docker compose's parser, Chromium and an S3 server where
# they are missing (minutes, once; kept in ${CLICKPULSE_CACHE:-~/.cache/clickpulse}), builds the programs, runs the tests.
#
#   integration-tests/run.sh                          everything
#   integration-tests/run.sh --test truth             one file
#   integration-tests/run.sh --test outage -- --nocapture
#
# Servers that run already are used where these are set (tests that have to stop a server still start their own):
#   CLICKPULSE_TEST_KAFKA         brokers, host:port[,host:port]
#   CLICKPULSE_TEST_INFLUX        http://host:port, with
#   CLICKPULSE_TEST_INFLUX_TOKEN  a token that may create buckets and tokens, and
#   CLICKPULSE_TEST_INFLUX_ORG    an organisation
set -euo pipefail
cd "$(dirname "$0")/.."

# Jobs get process groups of their own, so that nothing a test started can outlive this script.
set -m
jobs_started=()
beside=
finish() {
    [ -z "$beside" ] || rm -f "$beside"
    for pid in "${jobs_started[@]}"; do
        kill -KILL -- "-$pid" 2>/dev/null || true
    done
}
trap finish EXIT
trap 'exit 130' INT TERM

# Before anything is built: the build needs it.
integration-tests/install/openssl.sh

installers=()
for name in kafka influxdb compose chromium s3; do
    "integration-tests/install/$name.sh" >/dev/null &
    installers+=("$!:$name")
    jobs_started+=("$!")
done

cargo build --release -p processor -p producer -p demo
cargo test -p integration-tests --no-run

for installer in "${installers[@]}"; do
    wait "${installer%%:*}" || {
        echo "integration-tests/install/${installer#*:}.sh failed" >&2
        exit 1
    }
done

# await COMMAND…: in a group of its own, as above.
await() {
    "$@" </dev/null &
    jobs_started+=("$!")
    wait "$!"
}

code=0
if [ $# -eq 0 ]; then
    # The processor's own tests of its Kafka and InfluxDB clients, on the real ones.
    await cargo run --quiet -p integration-tests --bin with-services -- \
        cargo test -p processor --no-fail-fast --test kafka --test influx_real -- --ignored --test-threads=1 || code=$?
fi

# Files whose tests wait most of their time: for a group to forget a member, for a server that is away.
waiting=(compacted compose crash harness lifecycle outage secure shutdown snapshots startup static_member)

# lane FILE…: the tests of these files, one at a time, as each has its own servers (those of `cases` share theirs, and run
# a few at a time whatever is said here).
lane() {
    local files=()
    for file in "$@"; do files+=(--test "$file"); done
    cargo test -p integration-tests --no-fail-fast "${files[@]}" -- --test-threads=1
}

if [ $# -eq 0 ]; then
    working=()
    for path in integration-tests/tests/*.rs; do
        file=$(basename "$path" .rs)
        case " ${waiting[*]} " in *" $file "*) ;; *) working+=("$file") ;; esac
    done
    # Side by side, as two cores have room for it; what the second says is shown when both are done.
    beside=$(mktemp)
    lane "${waiting[@]}" </dev/null >"$beside" 2>&1 &
    waits=$!
    jobs_started+=("$waits")
    await cargo test -p integration-tests --lib --bins || code=$?
    await lane "${working[@]}" || code=$?
    wait "$waits" || code=$?
    cat "$beside"
else
    arguments=("$@")
    case " $* " in *" -- "*) ;; *) arguments+=(--) ;; esac
    await cargo test -p integration-tests --no-fail-fast "${arguments[@]}" --test-threads=1 || code=$?
fi
exit "$code"
