#!/bin/sh
# run.sh FUZZ TESTDATA SECONDS - fuzzes for SECONDS, from ONNX's own small operator cases and what earlier runs kept in
# build/fuzz/corpus; ends with the number of runs, or with 1 when something was found.
set -eu
fuzz=$1 data=$2 seconds=$3
seeds=build/fuzz/seeds
corpus=build/fuzz/corpus
mkdir -p "$seeds" "$corpus"

# node/test_abs/model.onnx -> node_test_abs.onnx; the same name has the same content
find "$data/node" "$data/simple" "$data/pytorch-operator" "$data/pytorch-converted" -name model.onnx -size -12k |
while read -r model; do
    name=$(echo "${model#"$data/"}" | sed 's|/model.onnx$||; s|/|_|g').onnx
    [ -e "$seeds/$name" ] || cp "$model" "$seeds/$name"
done
cp tests/cli/*.onnx "$seeds"

OMP_NUM_THREADS=1 nice "$fuzz" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048 \
    -malloc_limit_mb=512 -report_slow_units=10 -print_final_stats=1 -artifact_prefix=build/fuzz/ "$corpus" "$seeds"
