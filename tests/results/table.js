// table.js - docs/results.md out of the figures that run.js kept.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const { version } = require('../oracle/node_modules/onnxruntime-node/package.json');

// Of the CPU, what integer products run on.
const FEATURES = ['avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'avx512_bf16', 'amx_int8', 'asimd', 'asimddp', 'i8mm'];

function cpu() {
    const info = fs.readFileSync('/proc/cpuinfo', 'utf8');
    const flags = (/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info) || ['', ''])[1].split(' ');
    return `${os.cpus()[0].model.trim()} (${FEATURES.filter((flag) => flags.includes(flag)).join(', ')})`;
}

const ms = (t) => (t >= 100 ? t.toFixed(0) : t >= 10 ? t.toFixed(1) : t >= 1 ? t.toFixed(2) : t.toFixed(3));
const db = (x) => (x === null ? 'not finite' : x >= 999 ? 'equal' : x.toFixed(1));
const share = ({ macs }) => (macs.integer + macs.float === 0 ? 1 : macs.integer / (macs.integer + macs.float));
const latency = ({ fp32Time, int8Time }) => int8Time.min / fp32Time.min;

// Of one to three outputs each, of more the worst and the median.
function sqnr(outputs) {
    const all = Object.values(outputs);
    if (all.length <= 3)
        return all.map(db).join(', ');
    const sorted = [...all].sort((a, b) => a - b);
    return `${db(sorted[0])} … ${db(sorted[sorted.length - 1])}, median ${db(sorted[sorted.length >> 1])} (${all.length})`;
}

// The greatest float ops, by what the report says of them.
function reason(result) {
    if (share(result) >= 0.95)
        return result.reason && latency(result) > 0.95 ? result.reason : '';
    if (result.reason)
        return result.reason;
    // The report counts those of the forms made for integers, which a model that stays float whole is written without.
    const told = result.leftFloat.reduce((sum, node) => sum + node.macs, 0);
    const all = Math.max(result.macs.integer + result.macs.float, told), groups = new Map();
    for (const node of result.leftFloat) {
        const key = `${node.op}: ${node.reason.replace(/: about .*/, '')}`; // without the figures of each
        groups.set(key, (groups.get(key) || 0) + node.macs);
    }
    const named = [...groups].sort((a, b) => b[1] - a[1]).slice(0, 2).filter(([, macs]) => macs > 0)
        .map(([text, macs]) => `${text} (${(100 * macs / all).toFixed(0)} %)`);
    return named.length > 0 ? named.join('; ')
        : result.macs.left.slice(0, 2).map((node) => `${node.op} ${(100 * node.macs / all).toFixed(0)} %`).join(', ');
}

function rowText(result) {
    const total = result.macs.integer + result.macs.float;
    return `| ${[
        result.options.length === 0 ? result.name : `${result.name} (\`${result.options.join(' ')}\`)`,
        result.figure || '–',
        sqnr(result.sqnr),
        result.ratio.toFixed(3),
        total === 0 ? '–' : `${(100 * share(result)).toFixed(1)} %`,
        `${ms(result.fp32Time.min)} → ${ms(result.int8Time.min)}`,
        latency(result).toFixed(2),
        reason(result),
    ].join(' | ').replace(/\n/g, ' ')} |`;
}

function writeTable(file, results, of) {
    const dates = results.map((result) => result.date.slice(0, 10)).sort(), last = dates[dates.length - 1];
    const slower = results.filter((result) => latency(result) > 1.05), floating = results.filter((result) => share(result) < 0.95);
    const surprising = results.filter((result) => result.foretold === false);
    const list = (all) => (all.length === 0 ? 'none' : all.map((result) => result.name).join(', '));
    const text = `# Results

Every model that is at hand, quantized by the program as it stands, with no option beyond those that say how its data is read, unless
a row names one; both files then run in ONNX Runtime ${version}, which all figures come from. Made by

\`\`\`
QUANTIZE_SHARED=../shared make results      # NAMES='yolo kws': some rows, RUNS=100, SECONDS=15, OPTIONS: for quantize
\`\`\`

on ${dates[0] === last ? last : `${dates[0]} to ${last}`}, ${cpu()}, one thread. ${results.length} of ${of} models.

- **task**: fp32 → int8 where there are labels; else how far the int8 model answers as fp32 does, in what matters of its outputs.
- **SQNR** of each output in dB, 10 log10(Σ fp32² / Σ (fp32 − int8)²) over all samples.
- **size**: int8 file / fp32 file.
- **MACs in integers**: of those of Conv, ConvTranspose, Gemm and MatMul in the ops that the runtime really ran (its profile, all
  fusions done). LSTM and GRU do not count.
- **latency**: the least of up to RUNS runs, both models in turn in one process; the ratio is int8 / fp32.
- **why float**: where less than 95 % of the MACs are in integers.

Random weights: deeplabv3, efficientnet, fasterrcnn, lraspp, mobilenet_v3, superres, vit_small_4l, roberta, lstm_tagger, mel_conv,
mel_stft, rawaudio. Their classes mean nothing, so that two of them are often nearly tied; SQNR tells more.

| model | task | SQNR | size | MACs in integers | ms | ratio | why float |
|---|---|---|---|---|---|---|---|
${results.map(rowText).join('\n')}

Slower than 1.05 of fp32: ${list(slower)}. Less than 95 % of the MACs in integers: ${list(floating)}.
What \`quantize explain\` says of convolutions and products is what the runtime ran, except in: ${list(surprising)}.
`;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
}

module.exports = { rowText, writeTable };
