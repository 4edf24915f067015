// bench.js [NAME...] - speed beside ONNX Runtime: one table, every row measured in turn in this run (`make bench`).
//
//     NAME...           rows whose name holds one of these words        FAST=1      shorter runs, no long rows
//     THREADS=1,2       numbers of threads                               KINDS=fp32,int8
//     OUT=FILE.json     all figures besides                              QUANTIZE_SHARED  folder of the trained models
//
// int8 is our quantized file, calibrated on the inputs of the row; both sides run the same file. Ratios are ours / ONNX Runtime:
// of median times, and of median CPU time a run, which other programs on the machine disturb less. Difference: of the outputs,
// as a share of the greatest.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const zlib = require('zlib');
const npy = require('../oracle/npy');
const { relativeDifference } = require('../oracle/measure');
const { ROOT, quantize } = require('../oracle/program');
const { GENERATED, SHARED } = require('./rows');
const peers = require('./peers');

const WORK = path.join(ROOT, 'build/bench');
const FOLDER = path.resolve(ROOT, process.env.QUANTIZE_SHARED || '../shared');
const FAST = process.env.FAST === '1';
const THREADS = (process.env.THREADS || '1,2').split(',').map(Number);
const KINDS = (process.env.KINDS || 'fp32,int8').split(',');
const LENGTH = FAST ? { seconds: 0.4, rounds: 4 } : { seconds: 3, rounds: 10 };

// Path of the float model of a row, or undefined when it is not at hand.
function modelOf(row) {
    if (row.shared === undefined)
        return path.join(WORK, `${row.file || row.name}.onnx`);
    const source = path.join(FOLDER, row.shared);
    if (!fs.existsSync(source) || !source.endsWith('.gz'))
        return fs.existsSync(source) ? source : undefined;
    const unpacked = path.join(WORK, path.basename(source, '.gz'));
    if (!fs.existsSync(unpacked))
        fs.writeFileSync(unpacked, zlib.gunzipSync(fs.readFileSync(source)));
    return unpacked;
}

// The quantized file, made anew when the model is newer; REDO=1: always.
function quantized(row, model, folder) {
    const output = path.join(WORK, `${(row.file || row.name).replace(/[^\w.]+/g, '_')}.int8.onnx`);
    const fresh = fs.existsSync(output) && fs.statSync(output).mtimeMs > fs.statSync(model).mtimeMs;
    if (!fresh || process.env.REDO === '1')
        quantize([model, '--calib', folder, '-o', output, '-q'], WORK);
    return output;
}

// Of all outputs, against ONNX Runtime's; those it gives as something else than numbers are left out.
function difference([ours, theirs]) {
    let most = 0;
    for (const [name, file] of theirs) {
        const mine = ours.find(([other]) => other === name);
        most = Math.max(most, mine === undefined ? Infinity : relativeDifference(npy.read(mine[1]), npy.read(file)));
    }
    return most;
}

const ms = (s) => (s * 1e3 >= 100 ? (s * 1e3).toFixed(0) : s * 1e3 >= 1 ? (s * 1e3).toFixed(2) : (s * 1e3).toFixed(3));
const spread = (t) => `${ms(t.median)} [${ms(t.p10)}..${ms(t.p90)}]`;
const mb = (bytes) => (bytes / 1e6).toFixed(0);
const geometricMean = (all) => Math.exp(all.reduce((sum, x) => sum + Math.log(x), 0) / all.length);

function printRow(r) {
    console.log(`| ${r.name} | ${r.kind} | ${r.threads} | ${spread(r.ours)} | ${spread(r.theirs)} | ${r.ratio.toFixed(2)} | ` +
        `${r.cpuRatio.toFixed(2)} | ${mb(r.memory[0])} | ${mb(r.memory[1])} | ${r.difference.toExponential(0)} |`);
}

async function measureRow(row, results, failures) {
    const model = modelOf(row);
    if (model === undefined)
        return;
    const folder = path.join(WORK, 'inputs', row.name.replace(/[^\w.]+/g, '_'));
    const sample = path.join(folder, 'sample');
    for (const kind of KINDS)
        for (const threads of THREADS)
            try {
                const inputs = await peers.writeInputs(model, row, [sample], 1);
                const file = kind === 'fp32' ? model : quantized(row, model, folder);
                const r = await peers.race(file, threads, inputs, sample, LENGTH);
                r.difference = difference(r.outputs);
                results.push({ name: row.name, kind, threads, ratio: r.ours.median / r.theirs.median,
                    cpuRatio: r.ours.cpu / r.theirs.cpu, ...r });
                printRow(results.at(-1));
            } catch (error) {
                failures.push(`${row.name} ${kind} ${threads}: ${error.message}`);
            }
}

function printMeans(results) {
    console.log('\n| | rows | geometric mean | of CPU time | worst |\n|---|---|---|---|---|');
    for (const kind of KINDS)
        for (const threads of THREADS) {
            const rows = results.filter((r) => r.kind === kind && r.threads === threads).sort((a, b) => b.ratio - a.ratio);
            if (rows.length > 0)
                console.log(`| ${kind}, ${threads} thread${threads > 1 ? 's' : ''} | ${rows.length} | ` +
                    `${geometricMean(rows.map((r) => r.ratio)).toFixed(2)} | ` +
                    `${geometricMean(rows.map((r) => r.cpuRatio)).toFixed(2)} | ` +
                    `${rows.slice(0, 3).map((r) => `${r.name} ${r.ratio.toFixed(2)}`).join(', ')} |`);
        }
}

function describeMachine() {
    const flags = /^flags\s*:(.*)$/m.exec(fs.readFileSync('/proc/cpuinfo', 'utf8'));
    const has = ['avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'avx512_bf16', 'amx_int8']
        .filter((flag) => flags !== null && ` ${flags[1]} `.includes(` ${flag} `));
    return `${os.cpus()[0].model}, ${os.cpus().length} cores, ${has.join(' ')}; load ${os.loadavg()[0].toFixed(1)}`;
}

async function main() {
    const words = process.argv.slice(2), results = [], failures = [];
    const rows = [...GENERATED, ...SHARED].filter((row) => (words.length > 0
        ? words.some((word) => row.name.includes(word)) : !(FAST && row.long)));
    console.log(`${new Date().toISOString().slice(0, 10)}, ${describeMachine()}\n`);
    console.log('| model | | threads | ours, ms [p10..p90] | ONNX Runtime, ms [p10..p90] | ratio | of CPU time | ours, MB | its MB | difference |');
    console.log('|---|---|---|---|---|---|---|---|---|---|');
    for (const row of rows)
        await measureRow(row, results, failures);
    printMeans(results);
    for (const failure of failures)
        console.log(`\nnot measured: ${failure}`);
    if (process.env.OUT !== undefined)
        fs.writeFileSync(process.env.OUT, JSON.stringify(results.map(({ outputs, ...rest }) => rest), null, 1));
    process.exitCode = results.length > 0 && failures.length === 0 ? 0 : 1;
}

main();
