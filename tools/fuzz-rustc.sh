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

case "$crate" in
    warppool_components | warppool_net | warppool_io | warppool_systems | warppool_engine | serde_json)
        exec "$@" -Cpasses=sancov-module \
            -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
            -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares
        ;;
    *) exec "$@" ;;
esac
