#!/bin/sh
# methods.sh QUANTIZE MODEL CALIB EVAL LABELS [OPTION...] - the table of methods in docs/calibration.md: processor time of the
# whole calibration (user and system, so that other load on the machine shows less) beside that of plain inference over the
# same samples, peak memory, int8 top-1 and output SQNR on labelled data.
set -eu
quantize=$1 model=$2 calib=$3 eval=$4 labels=$5
shift 5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cpu_seconds() { # COMMAND... - its output goes to $folder/out
    sh -c 'out=$1; shift; "$@" >"$out" 2>/dev/null || exit 1; times' sh "$folder/out" "$@" |
        awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/); printf "%.2f", u[1] * 60 + u[2] + s[1] * 60 + s[2] }'
}

# The same samples through the model without watching: any label will do.
echo "$(basename "$(find "$calib" -type f | head -n 1)") 0" >"$folder/any"
plain=$(cpu_seconds "$quantize" eval "$model" --data "$calib" --labels "$folder/any" -q "$@")
echo '| method | calibration, CPU s | of plain inference | peak MB | fp32 top-1 % | int8 top-1 % | SQNR dB |'
echo '|---|---|---|---|---|---|---|'
echo "| (plain inference) | $plain | 1.00 | | | | |"
for method in auto mse minmax mean-minmax percentile percentile=99.9 entropy; do
    seconds=$(cpu_seconds "$quantize" calibrate "$model" --calib "$calib" --method "$method" -o "$folder/r.json" -q "$@")
    memory=$(sed 's/.*peak memory \([0-9.]*\) MB.*/\1/' "$folder/out")
    "$quantize" "$model" --ranges-in "$folder/r.json" --calib "$calib" --eval "$eval" --labels "$labels" \
        -o "$folder/m.onnx" -q "$@" >"$folder/out"
    top1=$(sed -n 's/^top-1 *\([0-9.]*\) % *\([0-9.]*\) %.*/\1 | \2/p' "$folder/out")
    sqnr=$(sed -n 's/^SQNR *\([0-9.-]*\) dB.*/\1/p' "$folder/out" | head -n 1)
    echo "| $method | $seconds | $(echo "$seconds $plain" | awk '{ printf "%.2f", $1 / $2 }') | $memory | $top1 | $sqnr |"
done
