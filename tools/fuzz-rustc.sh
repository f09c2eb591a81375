#!/usr/bin/env bash
# Stands before the compiler when fuzz targets are built (RUSTC_WRAPPER): our own packages and the JSON reader that they
# stand on are compiled with the fuzzer's counters. All else is compiled as ever, since counting there costs time and leads
# nowhere; what a procedural macro depends on must be, because a macro is not linked with the fuzzer.
set -euo pipefail

crate=
for ((at = 1; at < $#; at++)); do
    if [ "${!at}" = --crate-name ]; then
        next=$((at + 1))
        crate=${!next}
    fi
done

counters=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
)
case "$crate" in
    # Where bytes are read, numbers that are compared are reported too: so magic values are found.
    warppool_net | warppool_io | serde_json)
        exec "$@" "${counters[@]}" -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    # Behind that it would take most of the time.
    warppool_components | warppool_systems | warppool_engine | warppool_fuzz) exec "$@" "${counters[@]}" ;;
    *) exec "$@" ;;
esac
