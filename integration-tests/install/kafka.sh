#!/usr/bin/env bash
# Installs Apache Kafka from Maven into $CLICKPULSE_CACHE/kafka-VERSION/libs: the broker and its command-line tools,
# as jars on one class path. Does nothing when they are there. Prints the folder.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

VERSION=4.3.1
HOME_DIR="$CACHE/kafka-$VERSION"
LIBS="$HOME_DIR/libs"

one_at_a_time kafka
if [ ! -e "$LIBS/kafka_2.13-$VERSION.jar" ]; then
    need mvn "it fetches Kafka's jars"
    need java "Kafka runs on it, 17 or newer"
    say "fetching Kafka $VERSION"
    work=$(mktemp -d "$CACHE/kafka.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>clickpulse</groupId>
  <artifactId>kafka-libs</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$VERSION</version></dependency>
  </dependencies>
</project>
POM
    mvn --batch-mode --quiet --file "$work/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DoutputDirectory="$work/libs" -DincludeScope=runtime >&2
    mkdir -p "$HOME_DIR"
    rm -rf "$LIBS"
    mv "$work/libs" "$LIBS" # in one step: a folder that exists is a whole one
fi
echo "$HOME_DIR"
