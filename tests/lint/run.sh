#!/bin/sh
# run.sh - the rules of the house that a machine can hold: layers, banned calls, warnings of two compilers, cppcheck.
set -u
cd "$(dirname "$0")/../.."
failed=0
sources=$(find src passes calib -name '*.[ch]' | sort)

check() { # NAME COMMAND...
    name=$1
    shift
    if "$@"; then echo "ok      $name"; else echo "FAILED  $name"; failed=$((failed + 1)); fi
}

layers() { awk -f tests/lint/layers.awk $sources; }
banned() { awk -f tests/lint/banned.awk $sources; }
# Columns, not bytes: the continuation bytes of UTF-8 do not count.
long_lines() {
    LC_ALL=C awk '{ line = $0; gsub(/[\200-\277]/, "", line) }
        length(line) > 132 { printf "%s:%d: longer than 132 columns\n", FILENAME, FNR; bad = 1 }
        END { exit bad }' $sources
}
no_warnings() { # COMPILER
    make -s BUILD="build/lint-$1" CC="$1" CFLAGS="-g -Werror" "build/lint-$1/quantize" >"build/lint-$1.log" 2>&1 || {
        grep -E 'error|warning' "build/lint-$1.log" | head -n 20
        return 1
    }
}
# returnDanglingLifetime takes the Status that TRY returns for the addresses given to the call.
static_analysis() {
    cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability -j 2 -I. \
        --suppress=missingIncludeSystem --suppress=returnDanglingLifetime --suppress=invalidFunctionArg:src/kernels/softmax.c --suppress=normalCheckLevelMaxBranches src passes calib
}

mkdir -p build
check "layer rule of docs/architecture.md" layers
check "banned calls" banned
check "lines of at most 132 columns" long_lines
check "no warnings from gcc" no_warnings gcc
check "no warnings from clang" no_warnings clang
check "cppcheck" static_analysis
[ "$failed" = 0 ]
