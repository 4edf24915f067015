// simplify.js - simplified models are equal to the original: node simplify.js [NAME...]
//
//     model ─ quantize simplify ─ simple ─ again: same bytes
//        └── both in our executor and in ONNX Runtime, at two values of each dynamic dimension ── within 1e-5 of max |output|
//
// On the demo, and on every float model below QUANTIZE_SHARED (default: `shared` beside the project); one line a model. The
// inputs are those that the proof of `quantize simplify` draws. Two models amplify rounding beyond the limit, whoever runs them;
// what counts there is measured on the original alone: ONNX Runtime with all of its own rewrites against none, our executor with
// plain loops against oneDNN (four times that: it is one other order of the sums out of many).
'use strict';

const fs = require('fs');
const path = require('path');
const ort = require('./ort');
const program = require('./program');
const { relativeDifference } = require('./measure');

const LIMIT = 1e-5;

function modelsBelow(folder) {
    if (!fs.existsSync(folder))
        return [];
    return fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
        .filter((file) => file.endsWith('.onnx') && !file.includes('already_quantized'))
        .map((file) => path.join(folder, file));
}

// Architectures are kept packed; their own script unpacks them.
function architectures(shared, work) {
    const folder = process.env.QUANTIZE_ARCHITECTURES || path.join(work, 'architectures');
    const script = path.join(shared, 'unpack-architectures');
    if (!fs.existsSync(folder) && fs.existsSync(script))
        require('child_process').spawnSync(script, [folder], { stdio: 'ignore' });
    return modelsBelow(folder);
}

// Outputs of every sample that lies in the folder, and what the file declares of inputs and outputs.
async function answers(model, inputs, level) {
    const session = await ort.open(model, undefined, level);
    const results = [];
    for (const sample of program.samplesIn(inputs, session.inputNames[0]))
        results.push(await ort.run(session, program.readTensors(inputs, sample, session.inputNames)));
    // Names of sizes may become more exact, but what is open stays open.
    const known = (size) => typeof size === 'number' && size >= 0;
    const open = (row) => ({ ...row, shape: (row.shape || []).map((size) => (known(size) ? size : '?')) });
    const declared = { inputs: JSON.stringify(session.inputMetadata.map(open)), outputs: session.outputMetadata.map(open) };
    await session.release();
    return { results, ...declared };
}

function difference(ours, theirs) {
    const all = theirs.results.flatMap((sample, i) => Object.keys(sample).map((name) =>
        relativeDifference(ours.results[i][name], sample[name])));
    return all.length === 0 ? Infinity : Math.max(...all);
}

// What is declared of the outputs is the same, but that a size may have become known: then every run gives that size.
function declaredAlike(before, after) {
    const sizesAlike = (row, other) => row.shape.every((size, d) => size === other.shape[d] ||
        (size === '?' && after.results.every((sample) => sample[row.name].dims[d] === other.shape[d])));
    return before.inputs === after.inputs && before.outputs.every((row, i) => {
        const other = after.outputs[i];
        return row.name === other.name && row.type === other.type &&
            (row.shape.length === 0 || (row.shape.length === other.shape.length && sizesAlike(row, other)));
    });
}

const text = (x) => (x === 0 ? '0' : x.toExponential(1));

async function check(model, work) {
    const at = (name) => path.join(work, name);
    program.freshFolder(work);
    const log = program.quantize(['simplify', model, '-o', at('once.onnx'), '--save-inputs', program.freshFolder(at('in'))]);
    program.quantize(['simplify', at('once.onnx'), '-o', at('twice.onnx'), '--no-proof']);
    program.quantize(['simplify', model, '-o', at('again.onnx'), '--no-proof']);
    const [once, twice, again] = ['once', 'twice', 'again'].map((name) => fs.readFileSync(at(`${name}.onnx`)));
    const proof = /outputs equal: greatest difference \S+, (\S+) of/.exec(log);
    const executor = proof === null ? NaN : Number(proof[1]);
    const [before, plain] = [await answers(model, at('in'), 'all'), await answers(model, at('in'), 'disabled')];
    const after = await answers(at('once.onnx'), at('in'), 'all');
    const runtime = difference(after, before), own = difference(before, plain);
    const noise = Number((/another order of its sums moves .* by (\S+) of/.exec(log) || [0, 0])[1]);
    const problems = [
        [!(executor <= Math.max(LIMIT, 4 * noise)), 'executor differs or did not run'],
        [!(runtime <= Math.max(LIMIT, own)), 'ONNX Runtime differs'],
        [before.results.length !== (log.match(/^proof {2}run on/gm) || []).length, 'not all runs compared'],
        [!declaredAlike(before, after), 'inputs or outputs are declared otherwise'],
        [!once.equals(twice), 'a second run changes it'],
        [!once.equals(again), 'two runs write different bytes'],
    ].filter(([bad]) => bad).map(([, what]) => what);
    const nodes = /^nodes (\d+) -> (\d+)$/m.exec(log);
    const sums = noise > 0 ? ` (sums in another order ${text(noise)})` : '';
    console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${path.basename(model)}: nodes ${nodes[1]} to ${nodes[2]}, ` +
        `${before.results.length} runs, executor ${text(executor)}${sums}, ` +
        `ONNX Runtime ${text(runtime)} (its own rewrites ${text(own)})${problems.map((what) => `; ${what}`).join('')}`);
    return problems.length === 0;
}

async function main(names) {
    const shared = path.resolve(process.env.QUANTIZE_SHARED || path.join(program.ROOT, '../shared'));
    const work = path.join(program.ROOT, 'build/oracle-work/simplify');
    const all = [path.join(program.ROOT, 'tests/demo/glyphs.onnx'), ...modelsBelow(path.join(shared, 'models')),
        ...architectures(shared, path.join(program.ROOT, 'build'))];
    let failed = 0;
    const wanted = all.filter((model) => names.length === 0 || names.some((name) => model.includes(name)));
    for (const model of wanted) {
        try {
            failed += !(await check(model, work));
        } catch (error) {
            failed++;
            console.log(`FAILED ${path.basename(model)}: ${String(error.message).split('\n')[0]}`);
        }
    }
    if (all.length === 1)
        console.log(`not run: the models of ${shared}; QUANTIZE_SHARED names the folder`);
    console.log(`simplify: ${wanted.length - failed} of ${wanted.length} models equal`);
    process.exitCode = failed === 0 && wanted.length > 0 ? 0 : 1;
}

main(process.argv.slice(2));
