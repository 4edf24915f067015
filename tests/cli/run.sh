#!/bin/sh
# run.sh QUANTIZE - the program as a user meets it: the main job on the demo, and every kind of bad input.
#
# Each case is one line: what it does, the exit code, a part of the message, and that no output is left behind.
set -u
quantize=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
demo=$here/../demo
schema=$here/../../docs/report.schema.json
work=$(mktemp -d "${TMPDIR:-/tmp}/quantize-cli-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0
failed=0

ok() { passed=$((passed + 1)); }
bad() {
    failed=$((failed + 1))
    echo "FAILED $1"
    sed 's/^/    /' err | head -n 5
}

# refuses NAME CODE PART ARGUMENT... : the program ends with CODE, says PART in one line, and leaves no output.
refuses() {
    name=$1 code=$2 part=$3
    shift 3
    "$quantize" -q "$@" >out 2>err
    got=$?
    if [ "$got" != "$code" ]; then
        echo "exit $got, expected $code" >>err
        bad "$name"
    elif ! grep -qF -- "$part" err; then
        echo "message lacks: $part" >>err
        bad "$name"
    elif [ "$(grep -c '^quantize: ' err)" -gt 2 ] || [ -e o.onnx ] || [ -e o.json ] || ls .o.* >/dev/null 2>&1; then
        echo "more than one line, or an output was left" >>err
        bad "$name"
    else
        ok
    fi
    rm -f o.onnx o.json .o.*
}

# holds NAME COMMAND...: the command succeeds.
holds() {
    name=$1
    shift
    if "$@" >out 2>err; then ok; else bad "$name"; fi
}

# ---- the main job ------------------------------------------------------------------------------------------------------

glyphs=$demo/glyphs.onnx
labels=$demo/eval_labels.txt
holds "main job" "$quantize" "$glyphs" --calib "$demo/calib" --eval "$demo/eval" --labels "$labels" -o a.onnx --threads 1
cp out table
holds "the table names the files" grep -q a.onnx table
holds "main job on two threads" "$quantize" "$glyphs" --calib "$demo/calib" --eval "$demo/eval" --labels "$labels" -o b.onnx --threads 2
holds "same bytes for any thread count" cmp a.onnx b.onnx
strip_run() { sed -e '/"timing":/,/}/d' -e '/"host":/,/}/d' -e 's/[ab]\.onnx/X.onnx/' "$1"; }
strip_run a.json >a.stripped
strip_run b.json >b.stripped
holds "same report for any thread count" cmp a.stripped b.stripped
holds "the report follows its schema" node "$here/schema.js" "$schema" a.json
holds "other data are measured with the file itself" grep -q '"fp32_run":[[:space:]]*"evaluation"' a.json
for n in 1 2; do
    holds "measured on the calibration data, $n threads" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast -o a.onnx --report "same$n.json" --threads $n
    strip_run "same$n.json" >"same$n.stripped"
done
holds "the float model is run once then" grep -q '"fp32_run":[[:space:]]*"calibration"' same1.json
holds "same report for any thread count, outputs kept" sh -c "sed s/same1/same2/ same1.stripped | cmp - same2.stripped"
odd='odd <b>&"name.onnx'
holds "the report as a page" "$quantize" "$glyphs" --calib "$demo/calib" --eval "$demo/eval" --labels "$labels" -o "$odd" --report odd.json \
    --html odd.html --effort fast
holds "the page shows what the report says" node "$here/page.js" odd.html odd.json
rm -f "$odd" odd.json odd.html
holds "plain lines when stderr is no terminal" sh -c "! grep -q '$(printf '\r')' err"
holds "int8 top-1 within 1.5 points on the demo" awk '/top-1/ { good = $7 <= 1.5 && $7 >= -1.5 } END { exit !good }' table
holds "run prints a line a sample" sh -c "'$quantize' run a.onnx --input '$demo/eval' --samples 3 -q | grep -c : | grep -qx 3"
holds "eval" "$quantize" eval a.onnx --data "$demo/eval" --labels "$labels"
holds "compare" "$quantize" compare "$glyphs" a.onnx --data "$demo/eval"
holds "a model is equal to itself" sh -c "'$quantize' compare '$glyphs' '$glyphs' --data '$demo/eval' --samples 4 | grep -q '^SQNR  *equal '"
holds "reference executor" "$quantize" compare "$glyphs" a.onnx --data "$demo/eval" --samples 8 --executor reference
holds "inspect" "$quantize" inspect "$glyphs"
holds "explain" sh -c "'$quantize' explain a.onnx | grep -q '^in integers: .* 100.0 %'"
holds "simplify" "$quantize" simplify "$glyphs" -o s.onnx
holds "dry run writes nothing" sh -c "'$quantize' '$glyphs' --calib '$demo/calib' -o dry.onnx --dry-run --samples 4 && ! test -e dry.onnx"
mkdir -p twice/a twice/b && cp "$demo/eval/000.jpg" twice/a/1.jpg && cp "$demo/eval/001.png" twice/b/1.jpg
printf 'a/1.jpg 0\nb/1.jpg 1\n' >twice/list.txt
holds "files of one name in a list are two samples" sh -c "'$quantize' run '$glyphs' --input twice/list.txt -o two -q && test \"\$(ls two | wc -l)\" = 2"
holds "list of passes" sh -c "'$quantize' --list-passes | grep -q fold_constants"
holds "list of presets" sh -c "'$quantize' --list-presets | grep -q imagenet"
holds "help" "$quantize" --help
holds "version" "$quantize" --version
holds "depfile" sh -c "'$quantize' '$glyphs' --calib '$demo/calib' --samples 4 -o d.onnx --depfile d.d && grep -q 'd.onnx: ' d.d"

# ---- recordings, front end in the metadata -------------------------------------------------------------------------------

audio=$demo-audio
holds "audio demo" "$quantize" "$audio/keywords.onnx" --calib "$audio/calib" --eval "$audio/eval" \
    --labels "$audio/eval_labels.txt" -o k.onnx
cp out table
cp err notes
holds "reads the front end of the model" grep -q "logmel n_fft=512 win_length=480 .*the model's metadata" notes
holds "fp32 and int8 top-1 above 92 %" awk '/top-1/ { good = $2 > 92 && $4 > 92 } END { exit !good }' table
holds "run with windows" sh -c "'$quantize' run k.onnx --input '$audio/calib' --samples 3 -q | grep -c : | grep -qx 3"

# complains NAME CODE PART COMMAND ARGUMENT... : the same of a command.
complains() {
    name=$1 code=$2 part=$3
    shift 3
    "$quantize" "$@" -q >out 2>err
    got=$?
    if [ "$got" = "$code" ] && grep -qF -- "$part" err && [ ! -e o.json ] && [ ! -e o.onnx ] && ! ls .o.* >/dev/null 2>&1; then
        ok
    else
        echo "exit $got, expected $code and: $part" >>err
        bad "$name"
    fi
    rm -f o.json o.onnx .o.*
}

# ---- recipes and targets --------------------------------------------------------------------------------------------------

node=$(sed -n 's/.*"name":[[:space:]]*"\(.*\)",/\1/p' a.json | head -n 1)
job() { "$quantize" -q "$glyphs" --calib "$demo/calib" -o a.onnx "$@"; }
floats() { sed -n '/"left_float"/,/]/p' a.json | grep -c '"node"'; }
holds "effort fast tries nothing" job --effort fast
holds "and says so" grep -q '"judged_on_samples":[[:space:]]*0' a.json
cp a.onnx fast.onnx
holds "a method of one's own" job --effort fast --method minmax
holds "gives another model" sh -c '! cmp -s a.onnx fast.onnx'
holds "one scale for a weight" job --per-tensor
holds "is coarse: weights are rounded by the outputs of their layers" grep -q '"rounding_learned":[[:space:]]*true' a.json
holds "effort max measures every node" job --effort max
holds "worst first" sh -c "sed -n '/\"sensitivity\"/,/]/p' a.json | sed -n 's/.*sqnr_db\":[[:space:]]*\([0-9.]*\).*/\1/p' | sort -n -c"
holds "biases as they are" job --effort fast --bias-correction off
cp a.onnx plain.onnx
holds "biases corrected without a trial" job --effort fast --bias-correction on
holds "the report says so" grep -q '"biases_corrected":[[:space:]]*true' a.json
holds "and the model is another" sh -c '! cmp -s a.onnx plain.onnx'
holds "channels equalized without a trial" job --effort fast --equalize on
refuses "GELU in some other way" 2 "auto|on|off" "$glyphs" --calib "$demo/calib" --integer-gelu maybe -o o.onnx
holds "one scale for a weight" job --effort fast --per-tensor
holds "a target by name" job --effort fast --target tensorrt
refuses "a target with another type" 2 "must be s8" "$glyphs" --calib "$demo/calib" --target tensorrt --act u8 -o o.onnx
holds "exclude by type" job --exclude-op Gemm
holds "leaves nodes float" test "$(floats)" -ge 1
holds "only a pattern" job --only '*'
holds "which all fit" test "$(floats)" -eq 0
holds "an agreement within reach" job --min-agreement 90
refuses "a node that is not there" 2 "no node matches 'nowhere'" "$glyphs" --calib "$demo/calib" --exclude nowhere -o o.onnx
refuses "an op that is not there" 2 "no op matches 'Conf'; did you mean 'Conv'" "$glyphs" --calib "$demo/calib" --exclude-op Conf -o o.onnx
job --min-sqnr 90 >out 2>reason
holds "a target out of reach is exit 1" test "$?" -eq 1
holds "with the reason" grep -q "out of reach" reason
holds "and the best model" test "$(floats)" -ge 1
rm -f a.onnx a.json fast.onnx plain.onnx
holds "main job again" "$quantize" "$glyphs" --calib "$demo/calib" --eval "$demo/eval" --labels "$labels" -o a.onnx --threads 1

# ---- bench -----------------------------------------------------------------------------------------------------------------

holds "bench" sh -c "'$quantize' bench '$glyphs' --duration 0 | grep -q '^median  '"
holds "bench of the int8 model by op" sh -c "'$quantize' bench a.onnx --duration 0 --profile --top 3 | grep -q '^QLinearConv '"
holds "bench on data, a sample a thread" sh -c "'$quantize' bench a.onnx --input '$demo/eval' --samples 5 --threads 3 --parallel \
    --duration 0 | grep -q '3 threads, a sample each'"
holds "bench with more threads than cores" "$quantize" bench "$glyphs" --duration 0 --threads 64
holds "bench on the reference executor" "$quantize" bench "$glyphs" --duration 0 --executor reference --no-simplify
holds "bench writes a report and a trace" "$quantize" bench a.onnx --duration 0 --profile --trace trace.json --report bench.json
holds "the trace has every step of every run" node -e '
    const report = JSON.parse(require("fs").readFileSync("bench.json")), events = JSON.parse(require("fs").readFileSync("trace.json")).traceEvents;
    const whole = events.every((e) => e.ph === "X" && e.dur >= 0 && e.ts >= 0 && e.name !== "");
    process.exit(whole && events.length === report.runs * report.nodes.length ? 0 : 1);'
holds "the report counts the operations" node -e '
    const report = JSON.parse(require("fs").readFileSync("bench.json")), conv = report.ops.find((op) => op.op === "QLinearConv");
    process.exit(report.median_ms > 0 && conv.operations > 1e6 && conv.calls > 10 ? 0 : 1);'
complains "bench without a model" 2 "no model given" bench
holds "bench of a batch" sh -c "'$quantize' bench '$glyphs' --duration 0 --batch 7 | grep -q 'image 7x3x32x32'"
complains "bench of another shape" 2 "has 3 at dimension 1" bench "$glyphs" --shape 1x4x32x32
complains "bench with a shape of no input" 2 "no input 'nothing'" bench "$glyphs" --shape nothing=1x3
complains "bench for a negative time" 2 "--duration" bench "$glyphs" --duration -1
complains "bench, two outputs in one file" 2 "same file" bench "$glyphs" --trace o.json --report ./o.json
complains "bench, trace nowhere" 7 "nowhere" bench "$glyphs" --trace nowhere/o.json
complains "bench within too little memory" 6 "memory" bench "$glyphs" --duration 0 --max-memory 100K

# ---- functions of the file -----------------------------------------------------------------------------------------------

# functions.onnx: local.F {slope = 0.5} (a) is LeakyRelu and Softmax of opset 11, local.G (a, c) is Relu and an If whose
# else_branch calls F; the model is of opset 17 and calls both.
functions=$here/functions.onnx
holds "inspect sees the nodes of functions" sh -c "'$quantize' inspect '$functions' | grep -qx '      2  Softmax'"
holds "simplify inlines functions" "$quantize" simplify "$functions" -o inlined.onnx -q
holds "and gives the same" sh -c "'$quantize' compare '$functions' inlined.onnx --data random --samples 2 | grep -q 'max difference 0'"
holds "nothing local is left" sh -c "! grep -aq slope inlined.onnx"
holds "run with functions" "$quantize" run "$functions" --input random --samples 1 -q

# ---- loops ---------------------------------------------------------------------------------------------------------------

# loop.onnx: y = x + 100, by a Loop that ends itself after 100 iterations.
loop=$here/loop.onnx
holds "a loop within the limit" "$quantize" run "$loop" --input random --max-iterations 100 -q
complains "a loop beyond the limit" 3 "node 'count' (Loop): has not ended after 99 iterations" run "$loop" --input random \
    --max-iterations 99
complains "a loop beyond the limit, compared" 3 "--max-iterations" compare "$loop" "$loop" --data random --max-iterations 9
complains "a loop beyond the limit, measured" 3 "--max-iterations" bench "$loop" --max-iterations 9
complains "a loop beyond the limit, calibrated" 3 "--max-iterations" calibrate "$loop" --calib random --max-iterations 9 -o o.json

# Processors that know less, as far as this one can mimic them: what the integer model answers and what is written from given
# ranges are the same bytes; a level this one does not have changes nothing. Biases and rounding that are learned from the data are
# no part of a range table (--effort fast).
"$quantize" "$glyphs" --calib "$demo/calib" --samples 20 --effort fast --ranges-out level_ranges.json -o levels.onnx -q >out 2>err
for level in baseline avx2 avx512 vnni amx; do
    holds "answers of the int8 model, $level" env QUANTIZE_CPU=$level "$quantize" run a.onnx --input "$demo/eval" --samples 5 -o "answers.$level" -q
    holds "are the same at every level" diff -r answers.baseline "answers.$level"
    holds "model from given ranges, $level" env QUANTIZE_CPU=$level "$quantize" "$glyphs" --ranges-in level_ranges.json -o "levels.$level.onnx" -q
    holds "is the same at every level" cmp levels.onnx "levels.$level.onnx"
    holds "float answers, $level" env QUANTIZE_CPU=$level "$quantize" compare "$glyphs" a.onnx --data "$demo/eval" --samples 5
    holds "one thread, $level" env QUANTIZE_CPU=$level "$quantize" "$glyphs" --calib "$demo/calib" --samples 7 -o l1.onnx --threads 1 -q
    holds "nine threads, $level" env QUANTIZE_CPU=$level "$quantize" "$glyphs" --calib "$demo/calib" --samples 7 -o l9.onnx --threads 9 -q
    holds "write the same model" cmp l1.onnx l9.onnx
done
holds "a batch of none" "$quantize" bench "$glyphs" --duration 0 --batch 1 --shape 0x3x32x32
# wide_constant.onnx, wide_expand.onnx: ConstantOfShape and Expand to 65536x65536, 2^32 floats, and their maximum.
complains "ConstantOfShape of 2^32 elements" 6 "16384.0 MiB more needed" bench "$here/wide_constant.onnx" --duration 0 --max-memory 1G
complains "Expand to 2^32 elements" 6 "16384.0 MiB more needed" bench "$here/wide_expand.onnx" --duration 0 --max-memory 1G
complains "an input of 2^41 elements" 6 "beyond what one buffer may hold" bench "$glyphs" --duration 0 --max-memory 1G --shape 999999999x3x32x32
holds "a batch of none in integers" "$quantize" bench a.onnx --duration 0 --shape 0x3x32x32

# ---- calibration apart from the main job ---------------------------------------------------------------------------------

holds "a table beside the model" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast --ranges-out table.json -o t1.onnx -q
holds "the model from the table" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast --ranges-in table.json -o t2.onnx -q
holds "is the same" cmp t1.onnx t2.onnx
holds "from the table without data" "$quantize" "$glyphs" --ranges-in table.json -o t3.onnx -q
holds "is the same too" cmp t1.onnx t3.onnx
for i in 1 2 3; do
    holds "shard $i" "$quantize" calibrate "$glyphs" --calib "$demo/calib" --shard $i/3 -o part$i.json -q
done
holds "merge" "$quantize" merge part3.json part1.json part2.json -o merged.json
holds "calibrate" "$quantize" calibrate "$glyphs" --calib "$demo/calib" -o alone.json -q
holds "shards are as one run" cmp merged.json alone.json
holds "the main job without a search" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast --ranges-out table.json -o t1.onnx -q
holds "calibrate as the main job" cmp merged.json table.json
complains "a part is missing" 4 "one of 3 shards" merge part1.json part2.json -o o.json
complains "a part twice" 4 "already" merge part1.json part2.json part1.json -o o.json
complains "a table is no part" 4 "calibration part" merge table.json -o o.json
refuses "a table for other passes" 4 "calibrate again" "$glyphs" --ranges-in table.json --no-simplify -o o.onnx
complains "bad shard" 2 "I/N" calibrate "$glyphs" --calib "$demo/calib" --shard 4/3 -o o.json
refuses "bad percentile" 2 "percentile" "$glyphs" --calib "$demo/calib" --method percentile=10 -o o.onnx
refuses "unknown feature" 2 "raw, stft" "$glyphs" --calib "$demo/calib" --features loud -o o.onnx
refuses "unknown input" 2 "no input 'y'" "$glyphs" --input "y=$demo/calib" -o o.onnx
holds "random data" "$quantize" "$glyphs" --calib random --samples 4 -o r.onnx -q
holds "random data is warned of" grep -q "mean little" r.json

# ---- usage -----------------------------------------------------------------------------------------------------------------

refuses "unknown option" 2 "did you mean '--calib'" "$glyphs" --calip x -o o.onnx
refuses "no calibration data" 2 "--calib" "$glyphs" -o o.onnx
holds "command with a slip" sh -c "'$quantize' inspct '$glyphs' 2>&1 | grep -q \"did you mean 'inspect'\""
cp -r "$demo/calib" mine
first=$(find mine -type f | sort | head -n 1)
refuses "output is a calibration file" 2 "calibration" "$glyphs" --calib mine -o "$first"
refuses "no model" 2 "no model" --calib "$demo/calib"
refuses "option without value" 2 "needs" "$glyphs" --calib
refuses "bad choice" 2 "takes" "$glyphs" --calib "$demo/calib" --method best -o o.onnx
refuses "unknown preset" 2 "imagenet" "$glyphs" --calib "$demo/calib" --preset imagenett -o o.onnx
refuses "unknown pass" 2 "fold_constants" "$glyphs" --calib "$demo/calib" --passes=-fold_constant -o o.onnx
refuses "bad size" 2 "--size" "$glyphs" --calib "$demo/calib" --size 12 -o o.onnx
cp "$glyphs" same.onnx
refuses "output is the input" 2 "same.onnx" same.onnx --calib "$demo/calib" -o same.onnx
holds "the input is unharmed" cmp same.onnx "$glyphs"
refuses "model and report of one name" 2 "o.onnx" "$glyphs" --calib "$demo/calib" -o o.onnx --report ./o.onnx
holds "simplify with external data" "$quantize" simplify "$glyphs" -o ext.onnx --external-data always
cp ext.onnx.data ext.kept
refuses "output is the input's weights" 2 "holds weights" ext.onnx --calib "$demo/calib" -o ext.onnx.data --report o.json
holds "simplify does not write over them either" sh -c "! '$quantize' simplify ext.onnx -o ext.onnx.data"
holds "the weights are unharmed" cmp ext.onnx.data ext.kept
holds "external data in the main job" "$quantize" ext.onnx --calib "$demo/calib" --samples 4 -o ext8.onnx
holds "the size counts external data" awk '/"ratio":/ { good = $2 < 0.5 } END { exit !good }' ext8.json
refuses "memory limit" 6 "memory" "$glyphs" --calib "$demo/calib" -o o.onnx --max-memory 100K

# ---- simplify --------------------------------------------------------------------------------------------------------------

mkdir small
node "$here/model.js" small
simplifies() { # NAME MODEL PART ARGUMENT... : exit 0, PART in what it prints, a file is written, and again it changes nothing
    name=$1 small=$2 part=$3
    shift 3
    if "$quantize" simplify "$small" -o small.once.onnx "$@" >out 2>err && grep -qF -- "$part" out &&
        "$quantize" simplify small.once.onnx -o small.twice.onnx --no-proof >>out 2>>err &&
        cmp small.once.onnx small.twice.onnx >>err 2>&1; then ok; else cat out >>err; bad "$name"; fi
    rm -f small.once.onnx small.twice.onnx
}
holds "simplify lists its passes" sh -c "'$quantize' simplify --list-passes | grep -q eliminate_dead"
holds "simplify prints the graph behind a pass" sh -c \
    "'$quantize' simplify '$glyphs' --dry-run --no-proof --print-after eliminate_dead 2>&1 >/dev/null | grep -q 'after eliminate_dead'"
holds "simplify without a pass" sh -c \
    "'$quantize' simplify '$glyphs' --dry-run --no-proof --passes=-fold_batchnorm_into_conv,-eliminate_dead | grep -c fold_batchnorm | grep -qx 0"
holds "simplify to an opset" sh -c \
    "'$quantize' simplify '$glyphs' -o 17.onnx --opset 17 >out && '$quantize' inspect 17.onnx | grep -q 'opset    ai.onnx 17'"
simplifies "the proof is printed" "$glyphs" "proof  outputs equal"
simplifies "sizes for the proof" "$glyphs" "proof  run on image 3x3x32x32" --shape image=3x3x32x32
simplifies "without proof" "$glyphs" "written" --no-proof
simplifies "value_info of nothing" small/info_of_nothing.onnx "outputs equal"
simplifies "declared otherwise than computed" small/declared_otherwise.onnx "outputs equal"
simplifies "value_info that lies" small/lying_info.onnx "outputs equal"
simplifies "a batch declared as 1 that is not" small/declared_batch.onnx "outputs equal"
holds "a wrong declaration is told" sh -c "'$quantize' inspect small/lying_info.onnx 2>&1 >/dev/null |
    grep -q \"warning: small/lying_info.onnx: 1 declared shape is wrong.*node with output 'a' (Relu): output 'a' is declared 2x3x4 but the op gives Nx4\""
simplifies "an initializer nobody reads" small/unread.onnx "outputs equal"
simplifies "no nodes, the output is the input" small/no_nodes.onnx "nodes 0 -> 0"
simplifies "an output that is an initializer" small/output_is_initializer.onnx "outputs equal"
simplifies "an initializer listed as an input" small/ir3.onnx "outputs equal"
simplifies "names that collide after inlining" small/collide.onnx "If                                   2       0"
complains "unknown pass to leave out" 2 "did you mean 'fuse_gelu'" simplify "$glyphs" -o o.onnx --passes=-fuse_gelus
complains "another unknown pass" 2 "did you mean 'sink_pad'" simplify "$glyphs" -o o.onnx --passes=-fuse_gelu,-sink_pads
complains "a pass without -" 2 "with - before them" simplify "$glyphs" -o o.onnx --passes=fuse_gelu
complains "unknown pass to print after" 2 "unknown pass 'fuse'" simplify "$glyphs" -o o.onnx --print-after fuse
complains "sizes of an unknown input" 2 "--shape" simplify "$glyphs" -o o.onnx --shape picture=1x3x32x32
complains "sizes that are none" 2 "--shape" simplify "$glyphs" -o o.onnx --shape image
complains "bad limit of folding" 2 "--fold-limit" simplify "$glyphs" -o o.onnx --fold-limit much
complains "simplify without output" 2 "-o OUT" simplify "$glyphs"
complains "declared of another type than computed" 3 "'y' is declared" simplify small/declared_type.onnx -o o.onnx
complains "a value computed twice" 3 "'y'" simplify small/computed_twice.onnx -o o.onnx
complains "an initializer given twice" 3 "'w'" simplify small/initializer_twice.onnx -o o.onnx
complains "simplify over the input" 2 "same.onnx" simplify same.onnx -o ./same.onnx
# The proof finds a difference: exit 1, nothing written. With --no-proof it is the user's word.
"$quantize" simplify small/overflow.onnx -o o.onnx >out 2>err
got=$?
if [ "$got" = 1 ] && grep -q "outputs differ" out && [ ! -e o.onnx ]; then ok; else
    echo "exit $got" >>err
    cat out >>err
    bad "a proof that fails"
fi
rm -f o.onnx
holds "not asked for" "$quantize" simplify small/overflow.onnx -o overflow.onnx --no-proof

# Within little memory, fewer samples at a time, and the same table; within less, an error that says what to do.
"$quantize" calibrate "$glyphs" --calib "$demo/calib" -o free.json -q >out
tight=0 impossible=0
for limit in 1M 2M 3M 4M 5M 6M 8M 10M 12M 16M; do
    "$quantize" calibrate "$glyphs" --calib "$demo/calib" -o tight.json --threads 9 --max-memory $limit -q >out 2>notes
    case $? in
    0) tight=$((tight + 1)) && holds "calibrate within $limit gives the same" cmp tight.json free.json ;;
    6) impossible=$((impossible + 1)) && holds "$limit are too little, and the cure" grep -q "raise --max-memory" notes ;;
    *) bad "calibrate within $limit" ;;
    esac
done
holds "some limits suffice, others do not" test "$tight" -gt 2 -a "$impossible" -gt 0
holds "the main job within 16 MB" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast --threads 9 --max-memory 16M -o tight.onnx -q
holds "without a limit" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast -o free.onnx -q
holds "the same model" cmp tight.onnx free.onnx

# The bar is for terminals.
"$quantize" calibrate "$glyphs" --calib "$demo/calib" -o bar.json 2>notes >out
holds "one line elsewhere" grep -q "^calibrating: [0-9]* samples in" notes
holds "and no bar" sh -c "! grep -q '\[[#-]' notes && ! tr '\r\033' '@@' <notes | grep -q @"
if command -v script >/dev/null; then
    script -qec "'$quantize' calibrate '$glyphs' --calib '$demo/calib' -o bar.json" bar.txt >/dev/null 2>&1 </dev/null
    holds "a bar on a terminal" grep -q '\[#*-*\] [0-9]*/[0-9]*  [0-9.]*/s  [0-9]* s left' bar.txt
fi

# ---- not a model -----------------------------------------------------------------------------------------------------------

: >empty.onnx
echo "this is a text about models" >text.onnx
head -c 100000 /dev/urandom >random.onnx
cp "$(find "$demo/calib" -type f | sort | head -n 1)" image.onnx
refuses "no such model" 3 "nowhere.onnx" nowhere.onnx --calib "$demo/calib" -o o.onnx
refuses "empty model" 3 "empty.onnx" empty.onnx --calib "$demo/calib" -o o.onnx
refuses "text as model" 3 "text.onnx" text.onnx --calib "$demo/calib" -o o.onnx
refuses "random bytes as model" 3 "random.onnx" random.onnx --calib "$demo/calib" -o o.onnx
refuses "image as model" 3 "image.onnx" image.onnx --calib "$demo/calib" -o o.onnx
refuses "folder as model" 3 "$demo" "$demo" --calib "$demo/calib" -o o.onnx
size=$(wc -c <"$glyphs")
i=0
while [ $i -lt 200 ]; do
    head -c $((size * i / 200)) "$glyphs" >cut.onnx
    refuses "truncated at $i of 200" 3 "cut.onnx" cut.onnx --calib "$demo/calib" --samples 1 -o o.onnx
    i=$((i + 1))
done
refuses "already quantized" 3 "already quantized, with Q/DQ nodes" a.onnx --calib "$demo/calib" -o o.onnx

holds "quantized anew" "$quantize" a.onnx --requantize --calib "$demo/calib" --effort fast -o anew.onnx
cp err notes
holds "it says what it was" grep -q "already quantized, with Q/DQ nodes; turned back into float" notes
holds "the report too, by its schema" node "$here/schema.js" "$schema" anew.json
holds "and it answers as the model given" sh -c "'$quantize' compare a.onnx anew.onnx --data '$demo/eval' --samples 60 | awk '/agreement/ { good = \$2 > 95 } END { exit !good }'"
holds "a float model, asked to be requantized, is quantized" "$quantize" "$glyphs" --requantize --calib "$demo/calib" --effort fast -o float.onnx -q
holds "as ever" "$quantize" "$glyphs" --calib "$demo/calib" --effort fast -o ever.onnx -q
holds "the same model" cmp float.onnx ever.onnx

# one_node FILE OP TYPE... : a model of one node that multiplies a row of two by a 2 x 2 weight with NaN in it.
one_node() {
    node -e "const { writeModel } = require('$here/../oracle/onnx_writer');
        const [file, op, second, type] = process.argv.slice(1);
        const data = type === 'int8' ? Int8Array.of(1, 2, 3, 4) : Float32Array.of(1, NaN, 3, 4);
        require('fs').writeFileSync(file, writeModel({ op, domain: '', opset: 13, attrs: {}, inputs: [
            { name: 'x', type, dims: [1, 2], data: data.slice(0, 2) },
            { name: second, type, dims: [2, 2], data, constant: true }], outputs: ['y'] }));" "$@"
}
one_node nan.onnx MatMul w float32
refuses "a weight that is not a number" 3 "NaN or infinite (node" nan.onnx --calib random -o o.onnx
one_node dynamic.onnx MatMulInteger w int8
refuses "weights of 16 bits" 3 "the model is of 16-bit floats (node" small/half.onnx --calib random -o o.onnx
holds "16 bits, quantized anew" "$quantize" small/half.onnx --requantize --calib random --placement all -o half8.onnx
refuses "what has no float form" 5 "node 'relu' (Relu): reads quantized values and has no float form" small/relu_of_codes.onnx --requantize \
    --calib random -o o.onnx
refuses "dynamically quantized" 3 "already quantized, dynamically" dynamic.onnx --calib random -o o.onnx

# ---- data ------------------------------------------------------------------------------------------------------------------

mkdir none texts mixed
echo words >texts/a.txt
echo more >texts/b.txt
find "$demo/calib" -type f | sort | head -n 6 | while read -r file; do cp "$file" mixed/; done
head -c 300 "$(find mixed -type f | sort | head -n 1)" >mixed/broken.png
refuses "empty folder" 4 "none" "$glyphs" --calib none -o o.onnx
refuses "folder of texts" 4 "texts" "$glyphs" --calib texts -o o.onnx
refuses "no such folder" 4 "missing" "$glyphs" --calib missing -o o.onnx
refuses "no label matches" 4 "label" "$glyphs" --calib mixed --labels texts/labels.txt -o o.onnx
holds "one corrupt image among good ones" "$quantize" "$glyphs" --calib mixed -o m.onnx
holds "the report names it" grep -q broken.png m.json

# ---- outputs ---------------------------------------------------------------------------------------------------------------

refuses "no such output folder" 7 "nowhere" "$glyphs" --calib mixed -o nowhere/o.onnx
mkdir taken.onnx
refuses "output is a folder" 7 "taken.onnx" "$glyphs" --calib mixed -o taken.onnx
mkdir full && ln -s /dev/full full/r.json
if [ -w /dev/full ]; then refuses "no room for the report" 7 "full/r.json" "$glyphs" --calib mixed -o o.onnx --report full/r.json; fi
if [ -w /dev/full ]; then refuses "disk full" 7 "/dev/full" "$glyphs" --calib mixed -o /dev/full --report o.json; fi
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 555 locked
    refuses "no permission" 7 "locked" "$glyphs" --calib mixed -o locked/o.onnx
fi

# Ctrl-C in the middle: 130, the old output unharmed, nothing half-written.
echo "old" >kept.onnx
mkdir many
find "$demo/calib" -type f | while read -r file; do
    i=0
    while [ $i -lt 60 ]; do
        ln -s "$file" "many/$i-$(basename "$file")"
        i=$((i + 1))
    done
done
"$quantize" "$glyphs" --calib many --executor reference -o kept.onnx --report kept.json >out 2>err &
pid=$!
sleep 0.5
kill -INT $pid 2>/dev/null
wait $pid
got=$?
if [ "$got" = 130 ] && [ "$(cat kept.onnx)" = old ] && [ ! -e kept.json ] && ! ls .kept* >/dev/null 2>&1; then ok; else
    echo "exit $got" >>err
    ls -a >>err
    bad "Ctrl-C"
fi

echo "command line: $passed passed, $failed failed"
[ "$failed" = 0 ]
