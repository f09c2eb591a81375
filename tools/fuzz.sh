#!/usr/bin/env bash
# Coverage-guided fuzzing with libFuzzer on the pinned stable Rust (docs/fuzzing.md).
#   tools/fuzz.sh run TARGET [options of libFuzzer]    until it is stopped, finds something, or -runs=N are over
#   tools/fuzz.sh short                                the targets over their corpora and some thousand inputs more
#   tools/fuzz.sh minimise TARGET                      corpus := a few files that reach all that is reached by now
# What is found lies in $CARGO_TARGET_DIR/fuzz/found/TARGET; inputs that reached something new in .../grown/TARGET.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=tests/fuzz
built="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"
# Of what is kept in the repository for each target.
corpus_files_max=300
corpus_bytes_max=300000

targets() { find "$home/targets" -name '*.rs' -exec basename {} .rs \; | sort; }

# Longer inputs make a target slow and tell nothing new.
bytes_max() {
    case "$1" in
        template_json) echo 2048 ;;
        upstream_frames) echo 1024 ;;
        noise_handshake) echo 256 ;;
        store_file) echo 128 ;;
        v1_session) echo 320 ;;
        v2_session) echo 64 ;;
        *) echo 512 ;;
    esac
}

# The versions of the targets are those of the repository; the fuzzer's own stand in the targets' Cargo.toml.
build() {
    cp Cargo.lock "$home/targets/Cargo.lock"
    cargo metadata --manifest-path "$home/targets/Cargo.toml" --format-version 1 >/dev/null
    RUSTC_WRAPPER="$PWD/tools/fuzz-rustc.sh" CARGO_TARGET_DIR="$built" \
        cargo build --quiet --release --locked --manifest-path "$home/targets/Cargo.toml" "$@"
}

require_target() {
    if [ ! -f "$home/targets/${1:-}.rs" ]; then
        echo "fuzz: say which target: $(targets | tr '\n' ' ')" >&2
        exit 2
    fi
}

# Runs a target with options of libFuzzer; the folders of inputs are among them.
run() {
    local target=$1 dictionary
    shift
    dictionary="$PWD/$home/dictionaries/$target.dict"
    mkdir -p "$built/found/$target" "$built/grown/$target"
    # Choosing inputs by entropy takes up to a third of the time, more than it gains where inputs are cheap.
    local options=(-max_len="$(bytes_max "$target")" -entropic=0 -artifact_prefix="$built/found/$target/")
    options+=(-print_final_stats=1)
    if [ -f "$dictionary" ]; then options+=(-dict="$dictionary"); fi
    WARPPOOL_FUZZ_HISTORY="$built/found/$target/history" "$built/release/$target" "${options[@]}" "$@"
}

short() {
    local target log
    build --bins
    for target in $(targets); do
        log=$(mktemp)
        # The same seed each time: what turns red was changed.
        if ! run "$target" -seed=1 -runs=20000 -max_total_time=20 "$home/corpus/$target" >"$log" 2>&1; then
            cat "$log" >&2
            rm "$log"
            echo "fuzz: $target has found something; see $built/found/$target" >&2
            exit 1
        fi
        echo "fuzz: $target: $(grep -o 'Done .*' "$log"), $(grep -o 'cov: [0-9]*' "$log" | tail -1)"
        rm "$log"
    done
}

# By the names, which are hashes, so that large and small ones are among those that stay; libFuzzer has left out what reaches
# nothing of its own.
minimise() {
    local target=$1 merged kept=0 bytes=0 file size
    merged=$(mktemp -d)
    run "$target" -merge=1 "$merged" "$home/corpus/$target" "$built/grown/$target" 2>&1 | tail -3
    rm -rf "${home:?}/corpus/$target"
    mkdir -p "$home/corpus/$target"
    while read -r size file; do
        kept=$((kept + 1)) bytes=$((bytes + size))
        if [ "$kept" -gt "$corpus_files_max" ] || [ "$bytes" -gt "$corpus_bytes_max" ]; then break; fi
        cp "$merged/$file" "$home/corpus/$target/$file"
    done < <(find "$merged" -type f -printf '%s %f\n' | sort -k 2)
    rm -rf "$merged"
    du -sh --apparent-size "$home/corpus/$target"
}

case "${1:-}" in
    short) short ;;
    run)
        require_target "${2:-}"
        build --bin "$2"
        run "${@:2}" "$built/grown/$2" "$home/corpus/$2"
        ;;
    minimise)
        require_target "${2:-}"
        build --bin "$2"
        minimise "$2"
        ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
