// checks.js - the checks of one model; run.js says which rows of models.js they are made on.
//
//     float model ─ quantize run ─ outputs ── within 1e-4 of ── ONNX Runtime
//          └ quantize ─ int8 model ─ executor ── one step a node, 15 dB below the error of quantization ── ONNX Runtime
'use strict';

const fs = require('fs');
const path = require('path');
const npy = require('./npy');
const ort = require('./ort');
const program = require('./program');
const { relativeDifference, Sqnr, best } = require('./measure');

const FLOAT_LIMIT = 1e-4;     // of the greatest element
const UNEQUAL_SHARE = 1e-3;   // of elements that may be a step off: ties alone, no bias
const MARGIN_DB = 15;         // between our difference from the runtime and the error of quantization
const FLOAT_DB = 80;          // or our difference is that of float sums, where nothing was quantized

// Counts and prints: one line a check.
class Tally {
    constructor() {
        this.passed = 0;
        this.failed = 0;
    }
    check(model, what, ok, figure) {
        this[ok ? 'passed' : 'failed']++;
        console.log(`${ok ? 'ok    ' : 'FAILED'} ${model}: ${what}: ${figure}`);
    }
    // Runs a group of checks; what it throws is one failed check.
    async group(model, what, body) {
        try {
            return await body();
        } catch (error) {
            this.check(model, what, false, String(error.message).split('\n')[0]);
            return undefined;
        }
    }
}

function db(value) {
    if (value === Infinity)
        return 'exact';
    return Number.isFinite(value) ? `${value.toFixed(1)} dB` : 'not comparable';
}

const points = (value) => `${value.toFixed(2)} points`;

// One model at work: paths, options, and what earlier checks left for later ones.
class Job {
    constructor(tally, root, row, work, full) {
        this.tally = tally;
        this.row = row;
        this.work = program.freshFolder(path.join(work, row.name.replace(/\W+/g, '_')));
        this.model = program.modelFile(root, row, this.work);
        this.calib = program.dataOptions(root, row, this.work, '--calib');
        this.input = program.dataOptions(root, row, this.work, '--input');
        this.eval = row.eval && path.join(root, row.eval);
        this.labels = row.labels && path.join(root, row.labels);
        this.samples = full ? row.samples * 4 : row.samples;
        this.calibrate = full ? 0 : row.calibrate;
        this.int8 = path.join(this.work, 'net.int8.onnx');
    }
    at(name) {
        return path.join(this.work, name);
    }
    check(what, ok, figure) {
        this.tally.check(this.row.name, what, ok, figure);
    }
    // Outputs of a model by our executor on the samples.
    run(model, out, extra = []) {
        program.quantize(['run', model, ...this.input, '--samples', this.samples, ...this.row.options,
            '-o', program.freshFolder(this.at(out)), '-q', ...extra]);
    }
    // The same, with what the model was fed saved to this.at(inputs).
    runAndSave(model, out, inputs, extra = []) {
        this.run(model, out, [...extra, '--save-inputs', program.freshFolder(this.at(inputs))]);
    }
    // sample -> name -> tensor, by the runtime, on the inputs that were saved.
    async reference(model, inputs = 'in') {
        const session = await ort.open(model);
        const results = {};
        for (const sample of program.samplesIn(this.at(inputs), session.inputNames[0]))
            results[sample] = await ort.run(session, program.readTensors(this.at(inputs), sample, session.inputNames));
        await session.release();
        return results;
    }
    ours(out, results) {
        return Object.fromEntries(Object.entries(results).map(([sample, tensors]) =>
            [sample, program.readTensors(this.at(out), sample, Object.keys(tensors))]));
    }
}

function worstDifference(ours, theirs) {
    const all = Object.keys(theirs).flatMap((sample) => Object.keys(theirs[sample]).map((name) =>
        relativeDifference(ours[sample][name], theirs[sample][name])));
    return all.length === 0 ? Infinity : Math.max(...all);
}

// SQNR of each output of `noisy` against `clean`, over all samples.
function outputSqnr(clean, noisy) {
    const sums = {};
    for (const sample of Object.keys(clean))
        for (const name of Object.keys(clean[sample]))
            (sums[name] = sums[name] || new Sqnr()).add(clean[sample][name], noisy[sample][name]);
    return sums;
}

async function checkFloat(job) {
    job.runAndSave(job.model, 'fp32', 'in');
    job.run(job.model, 'reference', ['--executor', 'reference']);
    const theirs = job.fp32 = await job.reference(job.model);
    const fast = job.ours('fp32', theirs), plain = job.ours('reference', theirs);
    const pairs = [
        ['fp32 against ONNX Runtime', fast, theirs],
        ['fp32 plain C against ONNX Runtime', plain, theirs],
        ['fp32 plain C against oneDNN', plain, fast],
    ];
    for (const [what, a, b] of pairs) {
        const difference = worstDifference(a, b);
        job.check(what, difference <= FLOAT_LIMIT, `${difference.toExponential(1)} of the greatest element`);
    }
}

// Saved unchanged, and simplified: the runtime must answer the same, to the bit and within 1e-4.
async function checkSaved(job) {
    program.probe(['copy', job.model, job.at('copy.onnx')]);
    const copy = worstDifference(await job.reference(job.at('copy.onnx')), job.fp32);
    job.check('loaded and saved, in ONNX Runtime', copy === 0, copy === 0 ? 'equal' : copy.toExponential(1));
    program.quantize(['simplify', job.model, '-o', job.at('simple.onnx'), '-q']);
    const simple = worstDifference(await job.reference(job.at('simple.onnx')), job.fp32);
    job.check('simplified, in ONNX Runtime', simple <= FLOAT_LIMIT, simple.toExponential(1));
}

function quantizeArguments(job, calibrate, out) {
    const labelled = job.labels === undefined ? [] : ['--eval', job.eval, '--labels', job.labels];
    return [job.model, ...job.calib, '--samples', calibrate, ...job.row.options, ...(job.row.job || []), ...labelled, '-o', out, '-q'];
}

const readReport = (model) => JSON.parse(fs.readFileSync(model.replace(/onnx$/, 'json'), 'utf8'));

// "26 QLinearConv, 8 QLinearConcat"
function integerOps(ops) {
    const integers = Object.entries(ops).filter(([op]) => /QLinear|QGemm|Integer/.test(op));
    return integers.sort().map(([op, n]) => `${n} ${op}`).join(', ');
}

// No heavy op is float in the graph that the runtime makes of our model unless the report names it.
async function checkPlacement(job) {
    program.quantize(quantizeArguments(job, job.calibrate, job.int8));
    job.report = readReport(job.int8);
    const session = await ort.open(job.int8, job.at('optimized.onnx'));
    await session.release();
    job.placement = JSON.parse(program.probe(['weighted', job.at('optimized.onnx'), job.int8]));
    const { float: floats, ops } = job.placement, integers = integerOps(ops);
    const named = job.report.fallback.left_float;
    // A fused node carries the name of the first, with a word before or behind it; else its output tells which it was.
    const isNamed = (row) => named.some((left) => left.reason !== '' &&
        [...row.name.replace(/\/\w*Fusion\/$/, '').split(' '), row.output, row.node].includes(left.node));
    const unnamed = floats.filter((row) => !isNamed(row));
    const names = unnamed.map((row) => `${row.op} '${row.name}'`).join(', ');
    job.check('loads in ONNX Runtime, heavy ops in integers', unnamed.length === 0 && (integers === '') === (job.row.allFloat === true),
        `${integers}; float by the report: ${floats.length - unnamed.length}` +
        (unnamed.length > 0 ? `; float and not named: ${names}` : ''));
    for (const [op, wanted] of Object.entries(job.row.ops || {}))
        job.check(`number of ${op}`, (ops[op] || 0) === wanted, `${ops[op] || 0} of ${wanted}`);
    if (job.row.ratio !== undefined)
        job.check('size', job.report.size.ratio <= job.row.ratio, `${job.report.size.ratio} of the float file`);
}

// The runtime's value at every Q, then our executor fed with them step by step.
async function checkNodewise(job) {
    const exposed = job.at('exposed.onnx'), folder = program.freshFolder(job.at('values'));
    program.probe(['expose', job.int8, exposed]);
    const session = await ort.open(exposed, job.at('exposed_optimized.onnx'));
    const [sample] = program.samplesIn(job.at('in'), session.inputNames[0]);
    const values = await ort.run(session, program.readTensors(job.at('in'), sample, session.inputNames));
    fs.writeFileSync(path.join(folder, 'names.txt'), session.outputNames.map((name) => `${name}\n`).join(''));
    session.outputNames.forEach((name, k) => npy.write(path.join(folder, `${k}.npy`), values[name]));
    await session.release();
    const inputs = session.inputNames.map((name) => path.join(job.at('in'), program.fileName(sample, name)));
    const lines = program.probe(['nodewise', job.int8, folder, ...inputs]).trim().split('\n');
    const rows = lines.map((line) => JSON.parse(line));
    if (job.row.allFloat)
        return;
    const steps = rows.filter((row) => row.unit === 'steps'), floats = rows.filter((row) => row.unit === 'relative');
    const worst = steps.reduce((a, b) => (b.most > a.most ? b : a), { most: 0, op: 'none', value: '' });
    const unequal = steps.reduce((sum, row) => sum + row.unequal, 0);
    const all = steps.reduce((sum, row) => sum + row.elements, 0);
    const beyond = floats.filter((row) => row.most > FLOAT_LIMIT);
    const ok = steps.length > 0 && worst.most <= 1 && unequal <= UNEQUAL_SHARE * all && beyond.length === 0;
    job.check('int8 node by node, fed the same inputs', ok,
        `${steps.length} values, at most ${worst.most} steps` +
        (worst.most > 0 ? ` (${worst.op} '${worst.value}')` : '') + `, ${unequal} of ${all} elements differ` +
        (beyond.length > 0 ? `; float '${beyond[0].value}' ${beyond[0].most}` : ''));
    const { ops } = JSON.parse(program.probe(['weighted', job.at('exposed_optimized.onnx')]));
    job.check('ONNX Runtime ran the same integer ops for that', integerOps(ops) === integerOps(job.placement.ops),
        integerOps(ops));
}

async function checkWhole(job) {
    for (const [what, out, extra] of [['int8 whole net', 'int8', []],
        ['int8 whole net, plain C', 'int8_reference', ['--executor', 'reference']]]) {
        job.runAndSave(job.int8, out, `${out}_in`, extra); // with states each run feeds itself
        const theirs = await job.reference(job.int8, `${out}_in`), ours = job.ours(out, theirs);
        const error = outputSqnr(job.fp32, theirs);
        const difference = outputSqnr(theirs, ours);
        let worst;
        for (const name of Object.keys(error)) {
            const margin = difference[name].noise === 0 ? Infinity : difference[name].db - error[name].db;
            if (worst === undefined || margin < worst.margin || Number.isNaN(margin)) // NaN is the worst of all
                worst = { name, margin, ours: difference[name].db, error: error[name].db };
        }
        job.check(what, worst.margin >= (job.row.margin || MARGIN_DB) || worst.ours >= FLOAT_DB,
            `ours to ONNX Runtime's ${db(worst.ours)}, its own to fp32 ${db(worst.error)} ('${worst.name}')`);
    }
}

// Top-1 in percent over labelled samples: by our outputs and by the runtime on the same tensors.
async function topOne(job, model, inputs, extra) {
    const out = program.freshFolder(job.at('eval_out'));
    program.quantize(['run', model, '--input', job.eval, ...job.row.options, '--threads', 1, '-o', out, '-q',
        ...extra]);
    const session = await ort.open(model);
    let ours = 0, theirs = 0, n = 0;
    for (const [file, label] of program.readLabels(job.labels)) {
        const sample = file.replace(/\//g, '_');
        const result = await ort.run(session, program.readTensors(inputs, sample, session.inputNames));
        const [name] = session.outputNames;
        theirs += best(result[name]) === label;
        ours += best(npy.read(path.join(out, program.fileName(sample, name)))) === label;
        n++;
    }
    await session.release();
    fs.rmSync(out, { recursive: true });
    return { ours: 100 * ours / n, theirs: 100 * theirs / n, n };
}

async function checkAccuracy(job) {
    const inputs = program.freshFolder(job.at('eval_in'));
    const fp32 = await topOne(job, job.model, inputs, ['--save-inputs', inputs]);
    const int8 = await topOne(job, job.int8, inputs, []);
    fs.rmSync(inputs, { recursive: true });
    const { row, report } = job;
    for (const [what, top] of [['fp32', fp32], ['int8', int8]])
        job.check(`${what} top-1 against ONNX Runtime`, Math.abs(top.ours - top.theirs) <= row.ortPoints,
            `${top.ours.toFixed(2)} % and ${top.theirs.toFixed(2)} % of ${top.n}`);
    job.check('top-1 int8 against fp32', fp32.ours - int8.ours <= row.points,
        `${fp32.ours.toFixed(2)} % to ${int8.ours.toFixed(2)} %, drop ${points(fp32.ours - int8.ours)}`);
    const same = Math.abs(report.accuracy.fp32 - fp32.ours) < 0.01 && Math.abs(report.accuracy.int8 - int8.ours) < 0.01;
    job.check('top-1 of the report', same, `${report.accuracy.fp32} % and ${report.accuracy.int8} %`);
}

async function checkThreads(job) {
    const results = [1, 2].map((threads) => {
        const folder = program.freshFolder(job.at(`threads${threads}`));
        program.quantize([...quantizeArguments(job, job.calibrate, 'net.onnx'), '--threads', threads], folder);
        const report = readReport(path.join(folder, 'net.onnx'));
        delete report.timing;
        delete report.host;
        return { model: fs.readFileSync(path.join(folder, 'net.onnx')), report: JSON.stringify(report) };
    });
    const [one, two] = results;
    job.check('--threads 1 and 2 write the same model', one.model.equals(two.model), `${one.model.length} bytes`);
    job.check('--threads 1 and 2 write the same report', one.report === two.report,
        `${one.report.length} characters outside timing and host`);
}

// Peak memory must not grow with the number of images.
async function checkMemory(job) {
    const few = job.at('few.onnx');
    program.quantize([job.model, ...job.calib, '--samples', 10, ...job.row.options, ...(job.row.job || []), '-o', few, '-q']);
    const a = readReport(few).host.peak_memory_bytes, b = job.report.host.peak_memory_bytes;
    job.check('peak memory with 10 images and with all', Math.abs(b / a - 1) < 0.1,
        `${(a / 1e6).toFixed(0)} MB and ${(b / 1e6).toFixed(0)} MB`);
}

async function checkModel(tally, root, row, work, full) {
    const job = new Job(tally, root, row, work, full);
    const group = (what, body) => tally.group(row.name, what, () => body(job));
    await group('fp32', checkFloat);
    if (job.fp32 !== undefined)
        await group('load and save', checkSaved);
    await group('quantize', checkPlacement);
    if (job.placement !== undefined && job.fp32 !== undefined) {
        await group('int8 node by node', checkNodewise);
        await group('int8 whole net', checkWhole);
    }
    if (job.placement !== undefined && job.labels !== undefined)
        await group('accuracy', checkAccuracy);
    await group('threads', checkThreads);
    if (row.memory && job.placement !== undefined)
        await group('memory', checkMemory);
    if (process.env.KEEP === undefined)
        fs.rmSync(job.work, { recursive: true });
}

module.exports = { Tally, checkModel };
