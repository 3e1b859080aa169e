#!/usr/bin/env bash
# Makes the buckets, the default retention policy for InfluxQL, a token for the processor that can only write, and one
# for Grafana that can only read. Run as often as you like: what is there is kept, retentions are brought up to date, and
# a token file that still works stays.
#
# Tokens cannot be given a value of one's choice and InfluxDB 2.9 keeps only their hashes, so each is written to a file
# the moment it is made. Needs bash and curl.
#
#   INFLUX_URL             http://influxdb:8086
#   INFLUX_ORG             the organisation's name
#   INFLUX_ADMIN_TOKEN     a token that may make buckets and tokens; or INFLUX_ADMIN_TOKEN_FILE
#   PROCESSOR_TOKEN_FILE   where to put the write-only token
#   GRAFANA_TOKEN_FILE     where to put the read-only token
set -euo pipefail

readonly DATABASE=clickstream
readonly DAY_S=86400
# Name and retention in seconds. The first is the default retention policy.
readonly BUCKETS=(
    "raw_10s:$((7 * DAY_S))"
    "rollup_1m:$((90 * DAY_S))"
    "rollup_1h:$((730 * DAY_S))"
)

main() {
    : "${INFLUX_URL:?is not set}" "${INFLUX_ORG:?is not set}"
    : "${PROCESSOR_TOKEN_FILE:?is not set}" "${GRAFANA_TOKEN_FILE:?is not set}"
    if [[ -n ${INFLUX_ADMIN_TOKEN_FILE:-} ]]; then
        INFLUX_ADMIN_TOKEN=$(<"$INFLUX_ADMIN_TOKEN_FILE")
    fi
    : "${INFLUX_ADMIN_TOKEN:?is not set, and neither is INFLUX_ADMIN_TOKEN_FILE}"

    ORG_ID=$(api GET "/api/v2/orgs?org=$INFLUX_ORG" | first id)
    [[ -n $ORG_ID ]] || die "there is no organisation $INFLUX_ORG"

    local ids=() bucket
    for bucket in "${BUCKETS[@]}"; do
        ids+=("$(bucket_id "$DATABASE/${bucket%:*}" "${bucket#*:}")")
    done
    default_policy "${BUCKETS[0]%:*}" "${ids[0]}"
    token clickpulse-processor write "$PROCESSOR_TOKEN_FILE" "${ids[@]}"
    token clickpulse-grafana read "$GRAFANA_TOKEN_FILE" "${ids[@]}"
}

# bucket_id NAME SECONDS: makes the bucket or sets its retention, and prints its id.
bucket_id() {
    local name=$1 rules="[{\"type\":\"expire\",\"everySeconds\":$2}]" id
    id=$(api GET "/api/v2/buckets?org=$INFLUX_ORG&limit=100" | id_of name "$name")
    if [[ -z $id ]]; then
        id=$(api POST /api/v2/buckets "{\"orgID\":\"$ORG_ID\",\"name\":\"$name\",\"retentionRules\":$rules}" | first id)
        say "made bucket $name"
    else
        api PATCH "/api/v2/buckets/$id" "{\"retentionRules\":$rules}" >/dev/null
    fi
    [[ -n $id ]] || die "bucket $name has no id"
    printf '%s' "$id"
}

# The virtual mapping of bucket database/policy answers SELECT, but names no default policy, and without one
# `SHOW TAG VALUES`, which fills the dashboards' variables, is an error.
default_policy() {
    if api GET "/api/v2/dbrps?orgID=$ORG_ID&db=$DATABASE&default=true" | grep -q "\"retention_policy\": *\"$1\""; then
        return
    fi
    api POST /api/v2/dbrps "{\"orgID\":\"$ORG_ID\",\"bucketID\":\"$2\",\"database\":\"$DATABASE\",
        \"retention_policy\":\"$1\",\"default\":true}" >/dev/null
    say "made $1 the default retention policy of $DATABASE"
}

# token DESCRIPTION ACTION FILE BUCKET_ID...: a token for one action on these buckets, in a file.
token() {
    local description=$1 action=$2 file=$3
    shift 3
    if [[ -s $file ]] && works "$action" "$(<"$file")"; then
        say "kept the token in $file"
        return
    fi
    local old
    old=$(api GET "/api/v2/authorizations?orgID=$ORG_ID" | id_of description "$description")
    if [[ -n $old ]]; then
        api DELETE "/api/v2/authorizations/$old" >/dev/null
    fi
    local permissions="" id made
    for id in "$@"; do
        permissions+="${permissions:+,}{\"action\":\"$action\",\"resource\":{\"type\":\"buckets\",\"id\":\"$id\",\"orgID\":\"$ORG_ID\"}}"
    done
    made=$(api POST /api/v2/authorizations \
        "{\"orgID\":\"$ORG_ID\",\"description\":\"$description\",\"permissions\":[$permissions]}" | first token)
    [[ -n $made ]] || die "no token for $description"
    # Readable by the one service that mounts the folder, whatever user it runs as; replaced in one step.
    mkdir -p "$(dirname "$file")"
    printf '%s' "$made" >"$file.new"
    chmod 0444 "$file.new"
    mv -f "$file.new" "$file"
    say "made a token that can only $action, in $file"
}

# works ACTION TOKEN: whether InfluxDB still takes it.
works() {
    local path="/query?db=$DATABASE&q=SHOW%20MEASUREMENTS" status
    if [[ $1 == write ]]; then
        path="/api/v2/write?org=$INFLUX_ORG&bucket=$DATABASE/${BUCKETS[0]%:*}"
    fi
    # Writes nothing; a token that is refused is refused first.
    status=$(curl -sS -o /dev/null -w '%{http_code}' -X POST -H @<(printf 'Authorization: Token %s\n' "$2") \
        --data-binary '' "$INFLUX_URL$path")
    [[ $status != 401 && $status != 403 && $status != 404 ]]
}

# api METHOD PATH [BODY]: prints the answer; the token does not appear among the arguments of a process.
api() {
    local answer status
    answer=$(curl -sS -X "$1" -w '\n%{http_code}' -H 'Content-Type: application/json' \
        -H @<(printf 'Authorization: Token %s\n' "$INFLUX_ADMIN_TOKEN") ${3:+--data-binary "$3"} "$INFLUX_URL$2") ||
        die "$INFLUX_URL does not answer"
    status=${answer##*$'\n'}
    [[ $status == 2* ]] || die "$1 $2: $status ${answer%$'\n'*}"
    printf '%s\n' "${answer%$'\n'*}"
}

# first KEY: the first string value of that key. InfluxDB writes one pair a line; ids and tokens need no unescaping.
first() {
    # Reads to the end: quitting at the match would end the writer with SIGPIPE.
    sed -nE "0,/\"$1\": *\"/s/.*\"$1\": *\"([^\"]*)\".*/\1/p"
}

# id_of KEY VALUE: the id of the object that has this pair; an object's id comes before it.
id_of() {
    sed -nE -e 's/^[[:space:]]*"id": *"([^"]*)",?$/id \1/p' -e "s/^[[:space:]]*\"$1\": *\"([^\"]*)\",?\$/value \1/p" |
        while read -r what value; do
            case $what in
                id) id=$value ;;
                value) if [[ $value == "$2" ]]; then printf '%s' "$id"; fi ;;
            esac
        done
}

say() {
    printf 'influxdb-setup: %s\n' "$*" >&2
}

die() {
    say "$*"
    exit 1
}

main
