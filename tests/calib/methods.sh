#!/bin/sh
# methods.sh QUANTIZE MODEL CALIB EVAL LABELS [OPTION...] - the table of methods in docs/calibration.md: calibration time and
# peak memory, int8 top-1 and output SQNR on labelled data, for each method; and what plain inference over CALIB takes.
set -eu
quantize=$1 model=$2 calib=$3 eval=$4 labels=$5
shift 5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The same samples through the model without watching: any label will do.
echo "$(basename "$(find "$calib" -type f | head -n 1)") 0" >"$folder/none"
"$quantize" eval "$model" --data "$calib" --labels "$folder/none" "$@" 2>&1 >/dev/null | grep measuring: | sed 's/measuring/plain inference/'
echo '| method | calibration s | peak MB | fp32 top-1 % | int8 top-1 % | SQNR dB |'
echo '|---|---|---|---|---|---|'
for method in auto mse minmax mean-minmax percentile percentile=99.9 entropy; do
    line=$("$quantize" calibrate "$model" --calib "$calib" --method "$method" -o "$folder/r.json" -q "$@")
    seconds=$(echo "$line" | sed 's/.*, \([0-9.]*\) s, peak.*/\1/')
    memory=$(echo "$line" | sed 's/.*peak memory \([0-9.]*\) MB.*/\1/')
    "$quantize" "$model" --ranges-in "$folder/r.json" --calib "$calib" --eval "$eval" --labels "$labels" -o "$folder/m.onnx" -q "$@" >"$folder/out"
    top1=$(sed -n 's/^top-1 *\([0-9.]*\) % *\([0-9.]*\) %.*/\1 | \2/p' "$folder/out")
    sqnr=$(sed -n 's/^SQNR *\([0-9.-]*\) dB.*/\1/p' "$folder/out" | head -n 1)
    echo "| $method | $seconds | $memory | $top1 | $sqnr |"
done
