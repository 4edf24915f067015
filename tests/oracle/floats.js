// floats.js - float models in ONNX Runtime and in our executors, as they are and raised: node floats.js [NAME...]
//
//     model ─┬─ ONNX Runtime, nothing optimized ─┬─ within 1e-4 of max |output| ─┬─ executor, plain C and with oneDNN
//            └─ raised to 13, 21, 24 ────────────┘                               └─ ONNX Runtime, executor
//
// At two sizes of every dynamic axis; on the way each value of the model, inner ones too, must have the dtype and shape
// that inference gave it. Models are looked for in the folder QUANTIZE_SHARED; one line a model, size and opset.
'use strict';

const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const npy = require('./npy');
const ort = require('./ort');
const program = require('./program');
const { relativeDifference } = require('./measure');
const { FLOATS } = require('./float_models');

const LIMIT = 1e-4; // of the greatest element
const TINY = 1e-7;  // differences that do not count
const OPSETS = [13, 21, 24];

const ARRAYS = {
    float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array,
};

// Uniform numbers in [0, 1), the same on every run (Lehmer's generator modulo 2^31 - 1).
function makeRandom(seed) {
    let state = seed;
    return () => {
        state = Number(BigInt(state) * 48271n % 2147483647n);
        return state / 2147483647;
    };
}

// One tensor for each input of the session: whole numbers below row.below, floats in row.range, or what row.fixed says.
function makeInputs(session, row, sizes) {
    const random = makeRandom(20240601), [low, high] = row.range || [-1, 1];
    return session.inputMetadata.map(({ name, type, shape }) => {
        const dims = shape.map((d, i) => (typeof d === 'number' && d >= 0 ? d : sizes[d || `${name}.${i}`]));
        if (dims.some((d) => d === undefined))
            throw new Error(`no size for axis ${dims.indexOf(undefined)} of '${name}' (${shape})`);
        const data = new ARRAYS[type](dims.reduce((a, b) => a * b, 1));
        for (let i = 0; i < data.length; i++) {
            const x = row.fixed && name in row.fixed ? row.fixed[name]
                : type === 'float32' ? low + (high - low) * random() : Math.floor((row.below || 2) * random());
            data[i] = type === 'int64' ? BigInt(x) : x;
        }
        return [name, { type, dims, data }];
    });
}

// Of a probability near 0 the runtime's Sigmoid itself knows no more than its last bit beside 1.
function isTiny(a, b) {
    return a.data.length === b.data.length && a.data.every((x, i) => Math.abs(Number(x) - Number(b.data[i])) <= TINY);
}

function worst(ours, theirs) {
    return Math.max(0, ...theirs.map((t, k) => (isTiny(ours[k], t) ? 0 : relativeDifference(ours[k], t))));
}

async function runtime(model, inputs) {
    const session = await ort.open(model, undefined, 'disabled');
    const results = await ort.run(session, Object.fromEntries(inputs));
    await session.release();
    return session.outputNames.map((name) => results[name]);
}

// [outputs of the default executor, of the plain one, {values, exact}]
function executors(model, inputs, work) {
    const folder = program.freshFolder(path.join(work, 'run'));
    const files = inputs.map(([, tensor], i) => {
        const file = path.join(folder, `in.${i}.npy`);
        npy.write(file, tensor);
        return file;
    });
    const types = JSON.parse(program.probe(['run', model, folder, ...files]));
    const read = (kind) => fs.readdirSync(folder).filter((file) => file.startsWith(kind))
        .map((_, k) => npy.read(path.join(folder, `${kind}.${k}.npy`)));
    return [read('fast'), read('plain'), types];
}

class Report {
    constructor() {
        this.passed = 0;
        this.failed = 0;
    }
    async line(what, body) {
        let ok = false, text;
        try {
            [ok, text] = await body();
        } catch (error) {
            text = String(error.message).split('\n')[0];
        }
        this[ok ? 'passed' : 'failed']++;
        console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${text}`);
    }
}

async function checkModel(report, row, model, work) {
    const raised = new Map();
    for (const opset of row.opsets || OPSETS) {
        const file = path.join(work, `raised${opset}.onnx`);
        fs.rmSync(file, { force: true });
        program.quantize(['simplify', model, '-o', file, '--no-simplify', '--no-proof', '--opset', opset, '-q']);
        raised.set(opset, file);
    }
    for (const sizes of row.sizes || [{}]) {
        const label = `${row.name}${Object.entries(sizes).map(([name, n]) => ` ${name}=${n}`).join('')}`;
        let inputs, theirs;
        await report.line(label, async () => {
            const session = await ort.open(model, undefined, 'disabled');
            inputs = makeInputs(session, row, sizes);
            await session.release();
            theirs = await runtime(model, inputs);
            const [fast, plain, types] = executors(model, inputs, work);
            const a = worst(fast, theirs), b = worst(plain, theirs);
            return [Math.max(a, b) <= LIMIT, `executor ${a.toExponential(1)}, plain C ${b.toExponential(1)} of the greatest ` +
                `element from ONNX Runtime; ${types.values} values of the inferred type, ${types.exact} known exactly`];
        });
        for (const [opset, file] of theirs === undefined ? [] : raised)
            await report.line(`${label}, opset ${opset}`, async () => {
                const a = worst(await runtime(file, inputs), theirs), [fast] = executors(file, inputs, work);
                const b = worst(fast, theirs);
                return [Math.max(a, b) <= LIMIT, `ONNX Runtime ${a.toExponential(1)}, executor ${b.toExponential(1)}`];
            });
    }
}

async function main(names) {
    const shared = path.resolve(process.env.QUANTIZE_SHARED || path.join(program.ROOT, '../shared'));
    const report = new Report(), missing = [];
    for (const row of FLOATS.filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)))) {
        const source = path.join(shared, 'models', row.file);
        if (!fs.existsSync(source)) {
            missing.push(row.name);
            continue;
        }
        const work = program.freshFolder(path.join(program.ROOT, 'build/oracle-work/floats'));
        let model = source;
        if (source.endsWith('.gz'))
            fs.writeFileSync(model = path.join(work, 'model.onnx'), zlib.gunzipSync(fs.readFileSync(source)));
        await checkModel(report, row, model, work);
    }
    if (missing.length > 0)
        console.log(`not run: ${missing.join(', ')}: not in ${shared}; QUANTIZE_SHARED names the folder`);
    console.log(`floats: ${report.passed} passed, ${report.failed} failed`);
    process.exitCode = report.failed === 0 ? 0 : 1;
}

main(process.argv.slice(2));
