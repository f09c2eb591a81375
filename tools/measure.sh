#!/usr/bin/env bash
# Measures the pool on this machine, over loopback: a simulated node with hard work, the pool, and the load generator;
# beside them an echo server of the same shape, so that figures can be read as ratios. Prints everything; the figures
# worth keeping go to benches/record/.
#
#   tools/measure.sh [SECONDS]        (default 10 a run)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds="${1:-10}"
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --quiet \
    -p warppool-engine --bin warppool -p warppool-simnode --bin warppool-simnode -p warppool-loadgen --bin warppool-loadgen

directory="$(mktemp -d)"
children=()
finish() {
    kill "${children[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$directory"
}
trap finish EXIT

# Waits until the file $1 holds a line that matches $2, at most 20 s.
await() {
    for _ in $(seq 200); do
        grep -q -- "$2" "$1" 2>/dev/null && return
        sleep 0.1
    done
    echo "no \"$2\" in $1:" >&2
    cat "$1" >&2
    exit 1
}

# Starts a simulated node named $1 with the further flags, and writes the configuration of a pool for it.
start_node() {
    local name="$1"
    shift
    "$target/release/warppool-simnode" --data-directory "$directory/$name" --bits 1d00ffff --transactions 1000 --zmq "$@" \
        >"$directory/$name.log" 2>&1 &
    children+=($!)
    await "$directory/$name.log" '^rpc='
    field() { grep -o "$1=[^ ]*" "$directory/$name.log" | head -1 | cut -d= -f2-; }
    cat >"$directory/$name.toml" <<EOF
[node]
network = "regtest"
rpc_url = "$(field rpc)"
rpc_cookie_path = "$(field cookie)"
zmq_hashblock_addr = "$(field zmq_hashblock)"
[server]
pool_listen = "127.0.0.1:0"
status_listen = "127.0.0.1:0"
[store]
path = "$directory/$name.redb"
[tuning]
max_connections = 20000
[vardiff]
enabled = false
min_diff = 1e-12
initial_diff = 1e-10
[ratelimit]
enabled = false
EOF
}

# Starts the pool of node $1. The miners' port is chosen by the system, so the log tells it.
start_pool() {
    "$target/release/warppool" run --config "$directory/$1.toml" >"$directory/pool.log" 2>&1 &
    pool=$!
    children+=("$pool")
    await "$directory/pool.log" 'all nodes are well'
    address="$(grep -o 'stratum+tcp://[^"]*' "$directory/pool.log" | head -1 | cut -d/ -f3)"
}

stop_pool() {
    kill "$pool"
    wait "$pool" || true
}

load="$target/release/warppool-loadgen"
echo "machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2-), $(nproc) cores, flags: $(grep -m1 -oE 'sha_ni|avx512vl|avx2' /proc/cpuinfo | sort -u | tr '\n' ' ')"
"$load" echo --listen 127.0.0.1:0 >"$directory/echo.log" 2>&1 &
echo_server=$!
children+=("$echo_server")
await "$directory/echo.log" '127.0.0.1:'
echo_address="$(grep -oE '127\.0\.0\.1:[0-9]+' "$directory/echo.log" | head -1)"

start_node steady
start_pool steady
for window in 1 8 64; do
    for connections in 100 1000; do
        echo "== echo, $connections connections, window $window"
        "$load" throughput --protocol echo --pool "$echo_address" -n "$connections" --window "$window" \
            --seconds "$seconds" --server-pid "$echo_server"
        echo "== pool, $connections connections, window $window"
        "$load" throughput --pool "$address" -n "$connections" --window "$window" --seconds "$seconds" --server-pid "$pool"
    done
done
stop_pool

start_pool steady
echo "== pool, 10,000 idle connections"
"$load" idle --pool "$address" -n 10000 --server-pid "$pool"
stop_pool

start_pool steady
echo "== pool, storm of 5000 connections"
"$load" storm --pool "$address" -n 5000 --server-pid "$pool"
stop_pool

# Somebody else finds a block every few seconds.
start_node lively --block-interval-seconds 6
start_pool lively
for connections in 1000 10000; do
    echo "== pool, new tip to $connections connections"
    "$load" fanout --pool "$address" -n "$connections" --rounds 3
done
