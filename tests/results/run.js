// run.js [NAME...] - docs/results.md: models quantized with fitting data, measured in ONNX Runtime (`make results`).
//
//     row ─ quantize ─ int8 file ─┬─ both on the data, in the runtime ─ SQNR of each output, figure of the task
//                                 ├─ profile of a run, in the runtime ─ multiplications in integers
//                                 └─ both in turn, in the runtime ───── latency
//
//     NAME...   rows whose name holds one of these words; the others keep the figures of the last run
//     RUNS      of each model for its latency, at most (default 100)       SECONDS   likewise, for both together (default 15)
//     OPTIONS   typed behind those of every row                            SAMPLES   measured of each row at most
//     OUT       the file to write (default docs/results.md)                QUANTIZE_SHARED   folder of models and data
'use strict';

const fs = require('fs');
const path = require('path');
const program = require('../oracle/program');
const { Sqnr } = require('../oracle/measure');
const { figureOf } = require('./figures');
const prepare = require('./prepare');
const runtime = require('./runtime');
const { ROWS } = require('./rows');
const { rowText, writeTable } = require('./table');

const SHARED = path.resolve(program.ROOT, process.env.QUANTIZE_SHARED || '../shared');
const WORK = path.join(program.ROOT, 'build/results');
const RUNS = Number(process.env.RUNS || 100), SECONDS = Number(process.env.SECONDS || 15);
const SAMPLES = Number(process.env.SAMPLES || Infinity);
const OPTIONS = (process.env.OPTIONS || '').split(' ').filter(Boolean);

// "name index" lines, or "index TAB ids" of sentences -> what figures.js takes for a sample.
function labelsOf(row) {
    if (row.labels === undefined)
        return () => undefined;
    const file = path.join(SHARED, 'data', row.labels);
    if (file.endsWith('.tsv')) {
        const all = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => Number(line.split('\t')[0]));
        return (sample, way) => all.slice(parseInt(sample, 10) * row.eval[way].batch);
    }
    const labels = new Map(program.readLabels(file).map(([name, label]) => [name.replace(/\//g, '_'), label]));
    return (sample) => {
        if (!labels.has(sample))
            throw new Error(`no label for ${sample}`);
        return labels.get(sample);
    };
}

// Feeds of all samples that are measured: {way, sample, folder}, as `quantize run` fed them.
async function writeFeeds(row, model, folder) {
    const several = typeof row.eval === 'object' && row.eval.make === undefined;
    const ways = several ? row.eval : { '': row.eval || row.calib };
    const all = [];
    for (const [way, data] of Object.entries(ways)) {
        const options = await prepare.dataOptions(row, data, SHARED, path.join(folder, `data${way}`), '--input');
        const feeds = path.join(folder, `feeds${way}`), outputs = program.freshFolder(path.join(folder, 'outputs'));
        program.quantize(['run', model, ...options, '--samples', Math.min(row.evalSamples, SAMPLES), ...row.options,
            '--save-inputs', program.freshFolder(feeds), '-o', outputs, '-q']);
        fs.rmSync(outputs, { recursive: true });
        all.push({ way, feeds });
    }
    return all;
}

// Both models on all samples: {output: dB}, cell of the task, the first sample.
async function compare(row, models, ways) {
    const sessions = [await runtime.open(models[0]), await runtime.open(models[1])];
    const names = sessions[0].inputNames, outputs = sessions[0].outputNames, label = labelsOf(row);
    const sums = new Map(outputs.map((name) => [name, new Sqnr()])), figure = figureOf(row.task);
    let samples = 0, first;
    for (const { way, feeds } of ways)
        for (const sample of program.samplesIn(feeds, names[0])) {
            const inputs = program.readTensors(feeds, sample, names);
            const [fp32, int8] = [await runtime.run(sessions[0], inputs), await runtime.run(sessions[1], inputs)];
            for (const name of outputs)
                sums.get(name).add(fp32[name], int8[name]);
            const ordered = (all) => outputs.map((name) => [name, all[name]]);
            figure.add(ordered(fp32), ordered(int8), label(sample, way), way);
            first = first || inputs;
            samples++;
        }
    for (const session of sessions)
        await session.release();
    return { sqnr: Object.fromEntries([...sums].map(([name, sum]) => [name, sum.db])), figure: figure.text(), samples, first };
}

// Float convolutions and products, by `quantize explain` and as the runtime ran them: the same number of each kind? Of two branches
// of an If one runs, so what stands in inner graphs may be more.
function isForetold(int8, left) {
    const kind = (op) => (/Conv(Transpose)?$/.test(op) ? 'conv' : /MatMul$|Gemm$/.test(op) ? 'product' : '');
    const lines = program.quantize(['explain', int8]).split('\n');
    const told = lines.map((line) => (line.match(/^(\w+) \(float\)/) || ['', ''])[1]);
    const inner = lines.some((line) => line.includes('inner graph'));
    return ['conv', 'product'].every((wanted) => {
        const [a, b] = [told, left.map((node) => node.op)].map((ops) => ops.filter((op) => kind(op) === wanted).length);
        return a === b || (inner && a > b);
    });
}

async function measure(row) {
    const folder = program.freshFolder(path.join(WORK, row.name)), at = (name) => path.join(folder, name);
    const model = program.modelFile(path.join(SHARED, 'models'), row, folder), int8 = at('net.int8.onnx');
    const data = await prepare.dataOptions(row, row.calib, SHARED, at('calib'), '--calib');
    const started = Date.now();
    program.quantize([model, ...data, ...(row.samples ? ['--samples', row.samples] : []), ...row.options, ...OPTIONS, '-o', int8,
        '-q']);
    const seconds = (Date.now() - started) / 1000;
    const report = JSON.parse(fs.readFileSync(int8.replace(/onnx$/, 'json'), 'utf8'));
    const { sqnr, figure, samples, first } = await compare(row, [model, int8], await writeFeeds(row, model, folder));
    const inputs = row.time === undefined ? first : await prepare.firstSample(row.time, SHARED);
    const macs = await runtime.multiplications(int8, inputs, at('profile'));
    const [fp32Time, int8Time] = await runtime.latency([model, int8], inputs, RUNS, SECONDS);
    for (const entry of fs.readdirSync(folder).filter((name) => !/^net\.int8\./.test(name) && !name.endsWith('.onnx')))
        fs.rmSync(at(entry), { recursive: true });
    return {
        name: row.name, file: row.file, reason: row.reason, seconds, sqnr, figure, samples, macs, fp32Time, int8Time,
        ratio: report.size.ratio, leftFloat: report.fallback.left_float,
        foretold: isForetold(int8, macs.left), options: OPTIONS, date: new Date().toISOString(),
    };
}

async function main(words) {
    const wanted = ROWS.filter((row) => words.length === 0 || words.some((word) => row.file.includes(word)));
    const missing = wanted.filter((row) => !fs.existsSync(path.join(SHARED, 'models', row.file)));
    const failures = [];
    for (const row of wanted.filter((one) => !missing.includes(one)))
        try {
            const result = await measure(row);
            fs.writeFileSync(path.join(WORK, `${row.name}.json`), JSON.stringify(result, (_, x) => (x === Infinity ? 999 : x), 1));
            console.log(`${rowText(result)} quantized in ${result.seconds.toFixed(1)} s`);
        } catch (error) {
            failures.push(row.name);
            console.log(`${row.name}: FAILED: ${String(error.message).split('\n')[0]}`);
        }
    if (missing.length > 0)
        console.log(`not there: ${missing.map((row) => row.name).join(', ')}: QUANTIZE_SHARED names the folder`);
    const results = ROWS.map((row) => path.join(WORK, `${row.name}.json`)).filter((file) => fs.existsSync(file))
        .map((file) => JSON.parse(fs.readFileSync(file, 'utf8')));
    if (results.length > 0)
        writeTable(path.resolve(program.ROOT, process.env.OUT || 'docs/results.md'), results, ROWS.length);
    process.exitCode = failures.length > 0 || results.length === 0 ? 1 : 0;
}

fs.mkdirSync(WORK, { recursive: true });
main(process.argv.slice(2));
