// ops.js - single operators in ONNX Runtime and in our executors: node ops.js [NAME...]
//
//     row of op_cases.js ─ a model of one node ─┬─ ONNX Runtime ──────────────┬─ floats within 1e-4 of max |output|,
//                                               └─ executor, plain C and fast ┘  integers equal
//
// One line an operator; what inference said of the outputs must be what comes out (probe run).
'use strict';

const fs = require('fs');
const path = require('path');
const npy = require('./npy');
const ort = require('./ort');
const program = require('./program');
const { relativeDifference } = require('./measure');
const { writeModel } = require('./onnx_writer');
const CASES = [...require('./op_cases').CASES, ...require('./empty_cases').CASES];

const LIMIT = 1e-4;

async function difference(row, work) {
    const inputs = row.inputs.map((input, i) => input && { ...input, name: `x${i}` });
    const outputs = row.outputs.map((wanted, k) => (wanted ? `y${k}` : ''));
    const model = path.join(work, 'op.onnx');
    fs.writeFileSync(model, writeModel({ ...row, inputs, outputs }));
    const fed = inputs.filter((input) => input !== null && !input.constant);
    const session = await ort.open(model, undefined, 'disabled');
    const theirs = await ort.run(session, Object.fromEntries(fed.map((input) => [input.name, input])));
    await session.release();
    const files = fed.map((input) => {
        const file = path.join(work, `${input.name}.npy`);
        npy.write(file, input);
        return file;
    });
    program.probe(['run', model, work, ...files]);
    let worst = 0;
    outputs.filter((name) => name !== '').forEach((name, k) => {
        for (const kind of ['fast', 'plain']) {
            const ours = npy.read(path.join(work, `${kind}.${k}.npy`)), apart = relativeDifference(ours, theirs[name]);
            if (ours.type !== theirs[name].type)
                throw new Error(`${name} is ${ours.type}, the runtime's ${theirs[name].type}`);
            worst = Math.max(worst, theirs[name].type.startsWith('float') || apart === 0 ? apart : Infinity);
        }
    });
    return worst;
}

async function main(names) {
    const ops = new Map();
    for (const row of CASES.filter(({ op }) => names.length === 0 || names.some((part) => op.includes(part)))) {
        const name = `${row.domain}${row.domain && '.'}${row.op}`;
        ops.set(name, [...ops.get(name) || [], row]);
    }
    let failed = 0;
    for (const [op, rows] of ops) {
        const work = program.freshFolder(path.join(program.ROOT, 'build/oracle-work/ops'));
        const problems = [];
        let worst = 0;
        for (const row of rows)
            try {
                const apart = await difference(row, work);
                worst = Math.max(worst, apart);
                if (!(apart <= LIMIT))
                    problems.push(`${JSON.stringify(row.attrs)}: ${apart.toExponential(1)}`);
            } catch (error) {
                problems.push(`${JSON.stringify(row.attrs)}: ${String(error.message).split('\n')[0]}`);
            }
        failed += problems.length > 0;
        console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${op}: ${rows.length} cases, at most ` +
            `${worst.toExponential(1)} of the greatest element${problems.map((text) => `\n       ${text}`).join('')}`);
    }
    console.log(`ops: ${ops.size - failed} of ${ops.size} operators agree`);
    process.exitCode = failed === 0 && ops.size > 0 ? 0 : 1;
}

main(process.argv.slice(2));
