#!/bin/sh
# scaling.sh QUANTIZE PROBE [NODES...] - seconds (of CPU time) and memory of `quantize simplify` on generated graphs.
#
# For each kind of large.c: graphs of NODES nodes (default 1000 10000 100000), loading and saving included; behind each but the
# first the ratio to the one before. Small ones are run several times. Prints and does not judge: a busy machine would decide.
# With valgrind=1 in the environment instructions (in millions) are counted instead, which no other process disturbs.
set -eu
quantize=$1 probe=$2
shift 2
[ $# -gt 0 ] || set -- 1000 10000 100000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/repeat" <<'END'
i=0
while [ $i -lt "$1" ]; do "$2" simplify "$3" -o "$4" --no-proof; i=$((i + 1)); done
END

printf '%-14s' kind
for nodes; do printf ' %22s' "$nodes"; done
echo
for kind in $("$probe" large); do
    printf '%-14s' "$kind"
    before=
    for nodes; do
        "$probe" large "$kind" "$nodes" "$work/in.onnx"
        if [ -n "${valgrind:-}" ]; then
            valgrind --tool=callgrind --callgrind-out-file=/dev/null "$quantize" simplify "$work/in.onnx" -o "$work/out.onnx" \
                --no-proof >"$work/log" 2>"$work/error"
            cost=$(awk '/Collected/ { print $4 / 1e6 }' "$work/error") memory=0
        else
            times=$((nodes < 100000 ? 200000 / (nodes + 10000) : 1))
            /usr/bin/time -f '%U %S %M' -o "$work/time" timeout -s KILL 300 sh "$work/repeat" $times "$quantize" \
                "$work/in.onnx" "$work/out.onnx" >"$work/log" 2>"$work/error"
            read -r user system memory <"$work/time"
            cost=$(awk "BEGIN { print ($user + $system) / $times }")
        fi
        awk -v c="$cost" -v b="$before" -v m="$memory" 'BEGIN {
            printf(" %8.3f %6s %5d%s", c, (b > 0) ? sprintf("x%.1f", c / b) : "", m / 1024, (m > 0) ? "M" : "-") }'
        before=$cost
    done
    echo
done
