// profiles.js - models quantized for every target: node profiles.js [NAME...]
//
//     float model ─ quantize --target T ─ int8 model ─┬─ probe: Q and DQ stand by the rules of T
//                                                     ├─ ONNX Runtime: SQNR to fp32 near that of ort-x86
//                                                     └─ executor: SQNR to fp32 no more than 1.5 dB below that
//
// Everything is quantized, whatever it costs (--placement all): the rules of a target are judged here, not what its ops cost.
// A model for another runtime is run in other pieces here and there (a float bias behind a Relu that vanishes makes an integer
// convolution of ONNX Runtime's, and none of ours), so the two differ by more than in run.js.
'use strict';

const fs = require('fs');
const path = require('path');
const ort = require('./ort');
const program = require('./program');
const { Sqnr } = require('./measure');
const { DEMO, SHARED } = require('./models');

const ROWS = ['squeezenet1.1', 'mobilenetv2', 'yolov8n'];
// How much less than ort-x86 is near: zero point 0 leaves 7 bits for what a Relu gives.
const TARGETS = { 'ort-x86': 0, 'ort-arm': 3, openvino: 3, tensorrt: 9 };
const LESS_DB = 1.5;

function sqnr(clean, noisy) {
    const sums = {};
    for (const sample of Object.keys(clean))
        for (const name of Object.keys(clean[sample]))
            (sums[name] = sums[name] || new Sqnr()).add(clean[sample][name], noisy[sample][name]);
    return Math.min(...Object.values(sums).map((sum) => sum.db));
}

async function reference(model, inputs) {
    const session = await ort.open(model), results = {};
    for (const sample of program.samplesIn(inputs, session.inputNames[0]))
        results[sample] = await ort.run(session, program.readTensors(inputs, sample, session.inputNames));
    await session.release();
    return results;
}

async function checkRow(root, row, work, tell) {
    program.freshFolder(work);
    const model = program.modelFile(root, row, work), data = program.dataOptions(root, row, work, '--calib');
    const inputs = program.freshFolder(path.join(work, 'in')), out = path.join(work, 'out');
    const feed = ['--input', data[1], '--samples', 3, ...row.options, '-q'];
    program.quantize(['run', model, ...feed, '--save-inputs', inputs, '-o', program.freshFolder(out)]);
    const clean = await reference(model, inputs);
    let first;
    for (const [target, less] of Object.entries(TARGETS)) {
        const int8 = path.join(work, `${target}.onnx`);
        program.quantize([model, ...data, '--samples', Math.min(row.calibrate || 16, 16), ...row.options, '--effort', 'fast',
            '--target', target, '--placement', 'all', '-o', int8, '-q']);
        const found = JSON.parse(program.probe(['profile', int8, target]));
        tell(found.problem === '' && found.weighted > 0 && found.floats === 0, `${row.name} for ${target}`,
            `${found.weighted} weighted ops in integers, ${found.floats} float${found.problem && `; ${found.problem}`}`);
        const theirs = await reference(int8, inputs), error = sqnr(clean, theirs);
        first = first === undefined ? error : first;
        tell(error >= first - less, `${row.name} for ${target} in ONNX Runtime`, `${error.toFixed(1)} dB to fp32`);
        program.quantize(['run', int8, ...feed, '-o', program.freshFolder(out)]);
        const ours = Object.fromEntries(Object.entries(theirs).map(([sample, tensors]) =>
            [sample, program.readTensors(out, sample, Object.keys(tensors))]));
        const own = sqnr(clean, ours);
        tell(own >= error - LESS_DB, `${row.name} for ${target} in our executor`, `${own.toFixed(1)} dB to fp32`);
    }
}

async function main(names) {
    const shared = path.resolve(process.env.QUANTIZE_SHARED || path.join(program.ROOT, '../shared'));
    const rows = [[path.join(program.ROOT, 'tests/demo'), DEMO],
        ...ROWS.map((name) => [shared, SHARED.find((row) => row.name === name)])]
        .filter(([root, row]) => fs.existsSync(path.join(root, row.file)) &&
            (names.length === 0 || names.some((name) => row.name.includes(name))));
    let failed = 0;
    const tell = (ok, what, figure) => {
        failed += !ok;
        console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${figure}`);
    };
    for (const [root, row] of rows)
        await checkRow(root, row, path.join(program.ROOT, 'build/oracle-work/profiles'), tell);
    console.log(`profiles: ${rows.length} models, ${failed} checks failed`);
    process.exitCode = failed === 0 && rows.length > 0 ? 0 : 1;
}

main(process.argv.slice(2));
