#!/usr/bin/env bash
# Builds InfluxDB from its Go module into $CLICKPULSE_CACHE/influxd-VERSION/influxd: everything but the web UI.
# Takes 5 to 6 minutes on two cores, once; does nothing when the binary is there. Prints the binary's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

VERSION=2.9.1
HOME_DIR="$CACHE/influxd-$VERSION"
BINARY="$HOME_DIR/influxd"
JOBS="${CLICKPULSE_BUILD_JOBS:-$(nproc)}"

one_at_a_time influxdb
if [ ! -x "$BINARY" ]; then
    need go "InfluxDB is written in it, 1.25 or newer"
    need cargo "InfluxDB's query language is written in Rust"
    need gcc "InfluxDB links SQLite"
    say "building InfluxDB $VERSION with $JOBS jobs"
    src="$HOME_DIR/src" # kept until it is done, so that an interrupted build goes on where it was
    mkdir -p "$src"
    cd "$src"

    # `go install …@v2.9.1` refuses a module with replace directives, so a module of our own names it.
    cat >go.mod <<MOD
module influxd-build

go 1.25.10

require github.com/influxdata/influxdb/v2 v$VERSION

replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803

replace google.golang.org/protobuf v1.30.0 => google.golang.org/protobuf v1.33.0
MOD
    cat >tools.go <<GO
//go:build tools

package tools

import _ "github.com/influxdata/influxdb/v2/cmd/influxd"
GO
    GOFLAGS=-mod=mod go mod tidy >tidy.log 2>&1 || { tail -20 tidy.log >&2; die "go mod tidy failed"; }

    # This pkg-config knows how to build libflux, with cargo.
    GOBIN="$src/bin" go install github.com/influxdata/pkg-config@v0.3.0

    # libflux names a toolchain of its own, which rustup would download; the one in use builds it as well.
    if command -v rustup >/dev/null; then
        RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-$(rustup show active-toolchain | cut -d' ' -f1)}"
        export RUSTUP_TOOLCHAIN
    fi
    env -u CARGO_TARGET_DIR CARGO_BUILD_JOBS="$JOBS" PATH="$src/bin:$PATH" PKG_CONFIG="$src/bin/pkg-config" \
        go build -p "$JOBS" -tags sqlite_foreign_keys,sqlite_json -o bin/influxd github.com/influxdata/influxdb/v2/cmd/influxd >&2
    mv bin/influxd "$BINARY"
    cd /
    rm -rf "$src"
fi
echo "$BINARY"
