#!/bin/sh
# table.sh QUANTIZE SHARED - node counts (main graph) before and after `quantize simplify`, beside those of OnnxSlim.
# Exit 1 when one is above OnnxSlim's, or their sum is not 10 % below. OPTIONS: more options for simplify, e.g. --opset 17.
set -eu
quantize=$1 shared=$2 here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -d "$shared/models" ] || { echo "no models below '$shared'; set QUANTIZE_SHARED" >&2; exit 2; }
architectures=${QUANTIZE_ARCHITECTURES:-$work/architectures}
[ ! -x "$shared/unpack-architectures" ] || "$shared/unpack-architectures" "$architectures"

grep -v '^#' "$here/table.txt" | while read -r name file nodes slim; do
    case $file in
    architectures/*) path=$architectures/${file#architectures/} ;;
    *) path=$shared/$file ;;
    esac
    [ -f "$path" ] || continue
    start=$(date +%s%N)
    # shellcheck disable=SC2086
    if timeout -s KILL 60 "$quantize" simplify "$path" --dry-run --no-proof ${OPTIONS:-} >"$work/out" 2>"$work/error"; then
        after=$(sed -n 's/^nodes \([0-9]*\) -> \([0-9]*\)$/\1 \2/p' "$work/out")
    else
        after="$nodes fails"
        sed 's/^/    /' "$work/error" >&2
    fi
    echo "$name $after $slim $((($(date +%s%N) - start) / 1000000))"
done | awk '
    BEGIN { printf "%-40s %7s %7s %9s %6s\n", "model", "before", "after", "OnnxSlim", "ms" }
    {
        mark = ""
        if ($3 == "fails" || ($4 != "-" && $3 + 0 > $4 + 0)) { mark = "  above"; above++ }
        printf "%-40s %7s %7s %9s %6s%s\n", $1, $2, $3, $4, $5, mark
        if ($4 != "-") { sum += $3; slim += $4; before += $2 }
    }
    END {
        printf "%-40s %7d %7d %9d         %+.1f %%\n", "sum (models OnnxSlim can read)", before, sum, slim,
               slim == 0 ? 0 : 100 * (sum - slim) / slim
        if (above > 0 || sum > 0.9 * slim) exit 1
    }'
