// runtime.js - ONNX Runtime as its users have it: default options, one thread. What it takes, and what it multiplies in integers.
'use strict';

const fs = require('fs');
const path = require('path');
const ort = require('../oracle/node_modules/onnxruntime-node');

function open(model, more = {}) {
    return ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3, ...more });
}

const toFeeds = (inputs) =>
    Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, new ort.Tensor(t.type, t.data, t.dims)]));

// inputs, result: name -> {type, dims, data}
async function run(session, inputs) {
    const outputs = await session.run(toFeeds(inputs));
    return Object.fromEntries(Object.entries(outputs).map(([name, t]) =>
        [name, { type: t.type, dims: [...t.dims], data: t.data }]));
}

// Two models in turn on one input: [{min, median}, {min, median}] in ms. What is disturbed by other programs is not the least.
async function latency(models, inputs, runs, seconds) {
    const sessions = [], times = [[], []], feeds = toFeeds(inputs);
    for (const model of models)
        sessions.push(await open(model));
    const started = Date.now();
    for (let r = 0; r < runs && (r < 12 || Date.now() - started < 1000 * seconds); r++)
        for (let k = 0; k < 2; k++) {
            const begin = process.hrtime.bigint();
            await sessions[k].run(feeds);
            times[k].push(Number(process.hrtime.bigint() - begin) / 1e6);
        }
    for (const session of sessions)
        await session.release();
    return times.map((list) => {
        const sorted = list.slice(2).sort((a, b) => a - b);
        return { min: sorted[0], median: sorted[sorted.length >> 1] };
    });
}

// ---- multiply-accumulates of a run, by op as it was run ---------------------------------------------------------------------

const product = (dims) => dims.reduce((a, b) => a * b, 1);

// y[N,M,..] = x * w[M,C/g,..]: an output element takes as many as a filter has weights.
const conv = (weight) => (inputs, y) => product(y) * product(inputs[weight]) / inputs[weight][0];
const convTranspose = (inputs) => product(inputs[0]) * product(inputs[1]) / inputs[1][0];

// y[..,M,N] = a[..,M,K] * b; a lies the other way round where only its last side is M.
function matMul([a], y) {
    const turned = a.length > 1 && y.length > 1 && a[a.length - 2] !== y[y.length - 2] && a[a.length - 1] === y[y.length - 2];
    return product(y) * a[a.length - (turned ? 2 : 1)];
}

const OPS = {
    Conv: { macs: conv(1) },
    FusedConv: { macs: conv(1) },
    ConvTranspose: { macs: convTranspose },
    MatMul: { macs: matMul },
    FusedMatMul: { macs: matMul },
    Gemm: { macs: matMul },
    FusedGemm: { macs: matMul },
    QLinearConv: { integer: true, macs: conv(3) },
    ConvInteger: { integer: true, macs: conv(1) },
    QLinearMatMul: { integer: true, macs: matMul },
    QGemm: { integer: true, macs: matMul },
    MatMulInteger: { integer: true, macs: matMul },
    MatMulIntegerToFloat: { integer: true, macs: matMul },
    DynamicQuantizeMatMul: { integer: true, macs: matMul },
};

const shapes = (list) => list.map((entry) => Object.values(entry)[0]);

// {integer, float: sums, left: [{op, node, macs}] float ones, most first}: the nodes that the runtime really ran, all of its
// fusions done. Layouts of its own (blocked channels, which pad) are switched off, and weights stay as they are for their shapes.
async function multiplications(model, inputs, prefix) {
    const session = await open(model, { graphOptimizationLevel: 'extended', enableProfiling: true, profileFilePrefix: prefix,
        extra: { session: { disable_prepacking: '1' } } });
    await run(session, inputs);
    session.endProfiling();
    const folder = path.dirname(prefix), start = `${path.basename(prefix)}_`;
    const file = path.join(folder, fs.readdirSync(folder).find((name) => name.startsWith(start)));
    const events = JSON.parse(fs.readFileSync(file, 'utf8'));
    fs.unlinkSync(file);
    await session.release();
    const result = { integer: 0, float: 0, left: [] };
    for (const { cat, name, args } of events) {
        if (cat !== 'Node' || !name.endsWith('_kernel_time'))
            continue;
        const op = OPS[args.op_name];
        if (op === undefined)
            continue;
        const macs = op.macs(shapes(args.input_type_shape), shapes(args.output_type_shape)[0]);
        result[op.integer ? 'integer' : 'float'] += macs;
        if (!op.integer)
            result.left.push({ op: args.op_name, node: name.replace(/_kernel_time$/, ''), macs });
    }
    result.left.sort((a, b) => b.macs - a.macs);
    return result;
}

module.exports = { open, run, latency, multiplications };
