#!/usr/bin/env bash
# Measures the pool on this machine, over loopback: a simulated node with hard work, the pool, and the load generator;
# beside them an echo server of the same shape, so that figures can be read as ratios. Prints tables in Markdown, so
# that a run worth keeping can be put into benches/record/ as it is.
#
#   tools/measure.sh [SECONDS] [PART...]
#
# SECONDS a run, 10 when not said. PARTs: verdicts cores latency idle storm tls fanout v2 abuse; all when not said. The server has
# core 0 for itself and the generator core 1, but in "cores", where the pool may use all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds="${1:-10}"
parts=" ${*:2} "
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
[stratum]
sv2_max_connections = 20000
[vardiff]
enabled = false
min_diff = 1e-12
initial_diff = 1e-10
[ratelimit]
enabled = false
EOF
}

# Starts the pool of node $1 on the cores $2. The ports are chosen by the system, so the log tells them.
start_pool() {
    taskset -c "$2" "$target/release/warppool" run --config "$directory/$1.toml" >"$directory/pool.log" 2>&1 &
    pool=$!
    children+=("$pool")
    await "$directory/pool.log" 'all nodes are well'
    address="$(grep -o 'stratum+tcp://[^"]*' "$directory/pool.log" | head -1 | cut -d/ -f3)"
    authority="$(grep -o 'stratum2+tcp://[^"]*' "$directory/pool.log" | head -1 | cut -d/ -f4)"
    status="$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$directory/pool.log" | head -1 | cut -d/ -f3)"
}

stop_pool() {
    kill "$pool"
    wait "$pool" || true
}

# Whether part $1 was asked for.
wants() { [ -z "${parts// /}" ] || [[ "$parts" == *" $1 "* ]]; }

# Runs the generator; what it found is in $figures.
generate() { figures="$(taskset -c 1 "$target/release/warppool-loadgen" --json "$@")"; }

# The figure called $1, or a dash.
figure() {
    local value
    value="$(grep -oE "\"$1\":[^,}]*" <<<"$figures" | cut -d: -f2)"
    echo "${value:--}"
}

calculate() { awk "BEGIN { printf \"$1\", $2 }"; }
milliseconds() { calculate %.1f "$(figure "$1") / 1000"; }

start_echo() {
    taskset -c 0 "$target/release/warppool-loadgen" echo --listen 127.0.0.1:0 "$@" >"$directory/echo.log" 2>&1 &
    echo_server=$!
    children+=("$echo_server")
    await "$directory/echo.log" '127.0.0.1:'
    echo_address="$(grep -oE '127\.0\.0\.1:[0-9]+' "$directory/echo.log" | head -1)"
}

stop_echo() {
    kill "$echo_server"
    wait "$echo_server" 2>/dev/null || true
}

# Runs the generator in the protocol $1 (v1, extended, standard) and mode $2.
generate_in() {
    local flags=()
    [ "$1" = v1 ] || flags=(--protocol stratum-v2 --authority "$authority")
    [ "$1" != standard ] || flags+=(--standard)
    generate "$2" "${flags[@]}" --pool "$address" --server-pid "$pool" "${@:3}"
}

# Tells what an idle connection of the protocol $1, called $2, takes. Each has a server of its own: memory that was used once
# is not given back.
idle_line() {
    start_node "idle_$1"
    start_pool "idle_$1" 0
    generate_in "$1" idle -n 10000 --login-timeout-seconds 120
    echo "Memory of an idle connection of $2: $(figure bytes_per_connection) bytes, of 10,000."
    stop_pool
}

# One row of verdicts: $1 connections, $2 window; the echo server's cost before it when $3 is given.
verdict_row() {
    local echo_us=-
    if [ -n "${3:-}" ]; then
        generate throughput --protocol echo --pool "$echo_address" -n "$1" --window "$2" --seconds "$seconds" \
            --server-pid "$echo_server"
        echo_us="$(figure server_cpu_us_per_verdict)"
    fi
    generate throughput --pool "$address" -n "$1" --window "$2" --seconds "$seconds" --server-pid "$pool"
    local pool_us beyond=-
    pool_us="$(figure server_cpu_us_per_verdict)"
    [ "$echo_us" = - ] || beyond="$(calculate %.2f "$pool_us - $echo_us")"
    echo "| $1 | $2 | $echo_us | $pool_us | $(figure server_cpu_user_us_per_verdict) |" \
        "$(figure server_cpu_system_us_per_verdict) | $beyond | $(calculate %.0f "$(figure verdicts_per_second)") |" \
        "$(milliseconds latency_p50_us) | $(milliseconds latency_p99_us) |"
}

verdict_head() {
    echo
    echo "$1"
    echo
    echo "| connections | window | echo us | pool us | user | system | beyond echo us | verdicts/s | p50 ms | p99 ms |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
}

flags="$(grep -m1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'sha_ni|avx2|avx512vl|avx512f' | sort | tr '\n' ' ')"
echo "Machine: $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(nproc) cores, ${flags% }; Linux $(uname -r)."
echo "Command: \`tools/measure.sh $seconds${parts%% }\`."

if wants verdicts; then
    start_node steady
    start_echo
    start_pool steady 0
    verdict_head "Verdicts, the server on one core. CPU is that of all its threads."
    for window in 1 8 64; do
        for connections in 100 1000 10000; do
            verdict_row "$connections" "$window" echo
        done
    done
    stop_pool
    stop_echo
fi

if wants cores; then
    start_node cores
    start_pool cores "0-$(($(nproc) - 1))"
    verdict_head "Verdicts, the server on all cores, which it shares with the generator."
    for window in 8 64; do
        verdict_row 1000 "$window"
    done
    stop_pool
fi

if wants latency; then
    start_node latency
    start_pool latency 0
    echo
    echo "Latency of a submit under a load that is given: so many submits a second at even times, one a line."
    echo
    echo "| connections | share of capacity | submits/s | p50 ms | p99 ms | worst ms |"
    echo "|---|---|---|---|---|---|"
    for connections in 1000 10000; do
        generate throughput --pool "$address" -n "$connections" --window 1 --seconds "$seconds" --server-pid "$pool"
        capacity="$(calculate %.0f "$(figure verdicts_per_second)")"
        for percent in 25 50; do
            generate throughput --pool "$address" -n "$connections" --window 8 --seconds "$seconds" \
                --rate "$(calculate %.0f "$capacity * $percent / 100")"
            echo "| $connections | $percent % of $capacity | $(calculate %.0f "$(figure verdicts_per_second)") |" \
                "$(milliseconds latency_p50_us) | $(milliseconds latency_p99_us) | $(milliseconds latency_max_us) |"
        done
    done
    stop_pool
fi

if wants idle; then
    echo
    idle_line v1 "Stratum V1"
    idle_line extended "Stratum V2"
fi

if wants storm; then
    start_node storm
    start_pool storm 0
    generate storm --pool "$address" -n 5000 --server-pid "$pool"
    echo
    echo "Storm of 5000 connections within 1 s: $figures"
    stop_pool
fi

if wants tls; then
    start_node tls
    "$target/release/warppool" tls self-signed --directory "$directory/certificate" --name pool.test >"$directory/tls.log"
    # The first lines of its section.
    sed -i '/^\[stratum\]/r /dev/stdin' "$directory/tls.toml" <<EOF
tls_cert_path = "$directory/certificate/tls-cert.pem"
tls_key_path = "$directory/certificate/tls-key.pem"
EOF
    start_pool tls 0
    generate idle --tls --pool "$address" -n 2000 --server-pid "$pool"
    echo
    echo "Memory of an idle connection over TLS: $(figure bytes_per_connection) bytes, of 2000."
    echo
    echo "100 plain miners with 1000 submits/s in all, alone and while 10,000 connections over TLS come within 1 s."
    echo
    echo "| | p50 ms | p99 ms | worst ms |"
    echo "|---|---|---|---|"
    plain_row() {
        generate throughput --pool "$address" -n 100 --window 8 --rate 1000 --seconds "$1"
        echo "| $2 | $(milliseconds latency_p50_us) | $(milliseconds latency_p99_us) | $(milliseconds latency_max_us) |"
    }
    plain_row "$seconds" alone
    # It begins with the measured interval, and lasts for at least as long.
    (sleep 1 && taskset -c 1 nice -n 10 "$target/release/warppool-loadgen" --json storm --tls --pool "$address" -n 10000 \
        --server-pid "$pool" --login-timeout-seconds 60 >"$directory/tls-storm.log" 2>&1) &
    storm_generator=$!
    plain_row 3 "beside the storm"
    wait "$storm_generator"
    plain_row "$seconds" "beside 10,000 over TLS that are silent or gone"
    echo
    echo "The storm: $(cat "$directory/tls-storm.log")"
    stop_pool
fi

if wants fanout; then
    # Somebody else finds a block every few seconds.
    start_node lively --block-interval-seconds 4
    start_pool lively 0
    echo
    echo "A new tip, from the pool's first word of it to the last write handed to the kernel (mean of 5), beside a server"
    echo "that writes as many constant bytes to as many connections and does nothing else (median)."
    echo
    echo "| connections | bytes each | bare writes ms | pool ms | ratio | first write ms | first to last receipt ms (median, worst) |"
    echo "|---|---|---|---|---|---|---|"
    for connections in 1000 10000; do
        generate fanout --pool "$address" -n "$connections" --rounds 5 --metrics "$status"
        pool_us="$(figure server_tip_to_last_mean_us)"
        first_us="$(figure server_tip_to_first_mean_us)"
        bytes="$(calculate %.0f "$(figure bytes_per_connection)")"
        receipts="$(milliseconds first_to_last_p50_us), $(milliseconds first_to_last_max_us)"
        start_echo --broadcast-interval-ms 1000 --broadcast-bytes "$bytes" --seconds 12
        generate fanout --protocol echo --pool "$echo_address" -n "$connections" --rounds 5
        # The server's own figures come when its time is over; the broadcasts to a part of the connections do not count.
        "$target/release/warppool-loadgen" fanout --protocol echo --pool "$echo_address" -n "$connections" --rounds 60 \
            >"$directory/last.log" 2>&1 || true
        wait "$echo_server"
        figures="$(tr -s ' ' <"$directory/echo.log" | sed -n 's/^ broadcast p50 us /"broadcast_p50_us":/p')"
        bare_us="$(figure broadcast_p50_us)"
        echo "| $connections | $bytes | $(calculate %.1f "$bare_us / 1000") | $(calculate %.1f "$pool_us / 1000") |" \
            "$(calculate %.2f "$pool_us / $bare_us") | $(calculate %.2f "$first_us / 1000") | $receipts |"
    done
    stop_pool
fi

if wants v2; then
    start_node v2
    start_pool v2 0
    echo
    echo "Stratum V2 beside V1: CPU of the server for a verdict. The swarm's channels are one a connection."
    echo
    echo "| connections | window | V1 us | V2 extended us | ratio | V2 standard us | ratio | V1 verdicts/s | V2 extended verdicts/s |"
    echo "|---|---|---|---|---|---|---|---|---|"
    for window in 1 8 64; do
        for connections in 100 1000; do
            load=(throughput -n "$connections" --window "$window" --seconds "$seconds" --login-timeout-seconds 120)
            generate_in v1 "${load[@]}"
            v1_us="$(figure server_cpu_us_per_verdict)"
            v1_rate="$(figure verdicts_per_second)"
            generate_in extended "${load[@]}"
            extended_us="$(figure server_cpu_us_per_verdict)"
            extended_rate="$(figure verdicts_per_second)"
            generate_in standard "${load[@]}"
            standard_us="$(figure server_cpu_us_per_verdict)"
            echo "| $connections | $window | $v1_us | $extended_us | $(calculate %.2f "$extended_us / $v1_us") |" \
                "$standard_us | $(calculate %.2f "$standard_us / $v1_us") | $(calculate %.0f "$v1_rate") |" \
                "$(calculate %.0f "$extended_rate") |"
        done
    done
    echo
    echo "Handshakes alone, and logins up to a first job, 3000 connections as fast as the server takes them."
    echo
    echo "| | per second | server CPU us each | of it user |"
    echo "|---|---|---|---|"
    login_row() {
        generate_in "$2" handshakes -n 3000 --login-timeout-seconds 120 "${@:3}"
        echo "| $1 | $(calculate %.0f "$(figure per_second)") | $(figure server_cpu_us_each) | $(figure server_cpu_user_us_each) |"
    }
    login_row "V2 handshakes" extended
    login_row "V2 logins" extended --whole
    login_row "V1 logins" v1
    stop_pool
    start_node lively_v2 --block-interval-seconds 4
    start_pool lively_v2 0
    echo
    echo "A new tip to 10,000 miners: the server's CPU for it beyond that of as much time without one, its own time from the tip"
    echo "to the last write, and the time from the first to the last receipt (median). Means of 5 tips; the CPU holds the full jobs"
    echo "that follow, and of V2 the jobs that are sent ahead, too. Bare writes are those of a server that does nothing else."
    echo
    echo "| | bytes each | server CPU ms a tip | ratio | tip to last write ms | ratio | first to last receipt ms | idle CPU ms a second |"
    echo "|---|---|---|---|---|---|---|---|"
    tip_row() {
        generate_in "$2" fanout --rounds 5 --metrics "$status" --login-timeout-seconds 300 "${@:3}"
        cpu_us="$(figure server_cpu_us_per_round)"
        last_us="$(figure server_tip_to_last_mean_us)"
        [ "$2" != v1 ] || { v1_cpu_us="$cpu_us" && v1_last_us="$last_us"; }
        echo "| $1 | $(calculate %.0f "$(figure bytes_per_connection)") | $(calculate %.1f "$cpu_us / 1000") |" \
            "$(calculate %.2f "$cpu_us / $v1_cpu_us") | $(calculate %.1f "$last_us / 1000") |" \
            "$(calculate %.2f "$last_us / $v1_last_us") | $(milliseconds first_to_last_p50_us) |" \
            "$(milliseconds server_idle_cpu_us_per_second) |"
    }
    # What the kernel wants for one write of $1 bytes to each.
    bare_row() {
        start_echo --broadcast-interval-ms 1500 --broadcast-bytes "$1"
        generate fanout --protocol echo --pool "$echo_address" -n 10000 --rounds 5 --server-pid "$echo_server"
        stop_echo
        cpu_us="$(figure server_cpu_us_per_round)"
        echo "| bare writes, 10,000 connections | $1 | $(calculate %.1f "$cpu_us / 1000") |" \
            "$(calculate %.2f "$cpu_us / $v1_cpu_us") | | | $(milliseconds first_to_last_p50_us) | |"
    }
    tip_row "V1, 10,000 connections" v1 -n 10000
    tip_row "V2, 10,000 connections" extended -n 10000
    tip_row "V2, 10 connections of 1000 channels" extended -n 10 --channels 1000
    bare_row 1110
    # A frame of 54 bytes, encrypted: two tags more.
    bare_row 86
    stop_pool
fi

if wants abuse; then
    start_node abuse
    # As by default, but for the cap of connections and the difficulty.
    sed -i '/^\[ratelimit\]/,$ s/false/true/' "$directory/abuse.toml"
    start_pool abuse 0
    echo
    echo "What attacks cost 1000 other miners, who submit 20,000 shares a second meanwhile. Attackers, miners and the"
    echo "generator share one core, the server has the other."
    echo
    taskset -c 1 "$target/release/warppool-loadgen" abuse --pool "$address" -n 1000 --seconds "$seconds" --server-pid "$pool"
    stop_pool
fi
