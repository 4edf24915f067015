// requantize.js - models that are quantized already, quantized anew: node requantize.js [NAME...]
//
//     model given (Q/DQ, QLinear*, *Integer, 16-bit floats) ─┬─ quantize: refused, exit 3
//                                                            └─ quantize --requantize ─ int8 model ─ SQNR in ONNX Runtime
//                                                                                       to the model given
//
// The forms of the demo are made on the spot: by our program, by the runtime's optimizer, by the probe. The others are looked for
// in the folder QUANTIZE_SHARED.
'use strict';

const fs = require('fs');
const path = require('path');
const ort = require('./ort');
const program = require('./program');
const { Sqnr } = require('./measure');
const { DEMO } = require('./models');

const DEMO_ROOT = path.join(program.ROOT, 'tests/demo');
const FAST = ['--effort', 'fast'];

// What the runtime makes of the Q/DQ model: integer operators of its own, in files.
async function optimized(work, qdq) {
    const file = path.join(work, 'operators.onnx');
    await (await ort.open(qdq, file, 'extended')).release();
    return file;
}

const ROWS = [
    { name: 'demo, Q/DQ', least: 20, make: (work, qdq) => qdq },
    { name: 'demo, integer operators', least: 20, make: optimized },
    {
        name: 'demo, 16-bit floats', least: 20, make: (work) => {
            program.probe(['half', path.join(DEMO_ROOT, DEMO.file), path.join(work, 'half.onnx')]);
            return path.join(work, 'half.onnx');
        },
    },
    {
        name: 'face_antispoof, dynamic', file: 'models/already_quantized/face_antispoof_minifasnet_q.onnx', data: 'data/faces',
        options: ['--scale', 1 / 255], least: 12,
    },
    { // how well 8 bits hold its values is no matter of this test
        name: 'moonshine encoder, dynamic', file: 'models/already_quantized/moonshine_tiny_encoder_q.onnx',
        data: 'data/speech_commands/yes', least: 0,
    },
];

async function answers(model, inputs) {
    const session = await ort.open(model), results = {};
    for (const sample of program.samplesIn(inputs, session.inputNames[0]))
        results[sample] = await ort.run(session, program.readTensors(inputs, sample, session.inputNames));
    await session.release();
    return results;
}

function refusal(args) {
    try {
        program.quantize(args);
        return '';
    } catch (error) {
        return error.message;
    }
}

async function checkRow(row, shared, work, tell) {
    program.freshFolder(work);
    const data = row.file ? path.join(shared, row.data) : path.join(DEMO_ROOT, DEMO.calib), options = row.options || [];
    let given = row.file && path.join(shared, row.file);
    if (row.make !== undefined) {
        const qdq = path.join(work, 'qdq.onnx');
        program.quantize([path.join(DEMO_ROOT, DEMO.file), '--calib', data, ...FAST, '-o', qdq, '-q']);
        given = await row.make(work, qdq);
    }
    const out = path.join(work, 'anew.onnx'), inputs = program.freshFolder(path.join(work, 'in'));
    const job = [given, '--calib', data, '--samples', 48, ...options, ...FAST, '-o', out, '-q'];
    const said = refusal(job);
    const refused = /ended with 3: .*(already quantized|16-bit floats).*--requantize/.test(said);
    tell(refused && !fs.existsSync(out), `${row.name}, refused`, said.replace(/^.*the model is/, 'the model is').replace(/;.*/, ''));
    program.quantize([...job, '--requantize']);
    const report = JSON.parse(fs.readFileSync(out.replace(/onnx$/, 'json'), 'utf8'));
    program.quantize(['run', given, '--input', data, '--samples', 4, ...options, '--save-inputs', inputs,
        '-o', program.freshFolder(path.join(work, 'run')), '-q']);
    tell(report.restored.sqnr_db >= 20, `${row.name}, as floats`, `${report.restored.sqnr_db.toFixed(1)} dB to the model given`);
    const before = await answers(given, inputs), after = await answers(out, inputs), sqnr = new Sqnr();
    for (const sample of Object.keys(before))
        for (const name of Object.keys(before[sample]))
            sqnr.add(before[sample][name], after[sample][name]);
    tell(sqnr.db >= row.least, `${row.name}, quantized anew, in ONNX Runtime`,
        `${sqnr.db.toFixed(1)} dB to the model given, ` +
        `${report.speed.weighted_ops_int8} of ${report.speed.weighted_ops} weighted ops in integers`);
}

async function main(names) {
    const shared = path.resolve(process.env.QUANTIZE_SHARED || path.join(program.ROOT, '../shared'));
    let failed = 0;
    const tell = (ok, what, figure) => {
        failed += !ok;
        console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${figure}`);
    };
    const rows = ROWS.filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)));
    const present = rows.filter(({ file }) => file === undefined || fs.existsSync(path.join(shared, file)));
    for (const row of present)
        await checkRow(row, shared, path.join(program.ROOT, 'build/oracle-work/requantize'), tell);
    for (const { name } of rows.filter((row) => !present.includes(row)))
        console.log(`not run: ${name}: not in ${shared}; QUANTIZE_SHARED names the folder`);
    console.log(`requantize: ${present.length} models, ${failed} checks failed`);
    process.exitCode = failed === 0 && present.length > 0 ? 0 : 1;
}

main(process.argv.slice(2));
