// run.js - ONNX Runtime as oracle: node run.js [NAME...]
//
// Always on the demos that ship with the project; on the other models of models.js when they are in the folder
// QUANTIZE_SHARED (default: `shared` beside the project).
//     NAME    only rows whose name holds it; audio: all models that hear
//     FULL=1  more samples and all calibration data
//     KEEP=1  leaves build/oracle-work
'use strict';

const fs = require('fs');
const path = require('path');
const { ROOT } = require('./program');
const { DEMO, SHARED } = require('./models');
const { DEMO_AUDIO, AUDIO } = require('./models_audio');
const { Tally, checkModel } = require('./checks');

async function main(names) {
    const shared = path.resolve(process.env.QUANTIZE_SHARED || path.join(ROOT, '../shared'));
    const work = path.join(ROOT, 'build/oracle-work');
    const full = process.env.FULL === '1';
    const wanted = (row) => names.length === 0 || names.some((name) => row.name.includes(name));
    const tally = new Tally();
    const rows = [[path.join(ROOT, 'tests/demo'), DEMO], [path.join(ROOT, 'tests/demo-audio'), DEMO_AUDIO],
        ...[...SHARED, ...AUDIO].map((row) => [shared, row])];
    const jobs = rows.filter(([, row]) => wanted(row));
    const present = ([root, row]) => root !== shared || fs.existsSync(path.join(root, row.file));
    for (const [root, row] of jobs.filter(present)) {
        const started = Date.now();
        await checkModel(tally, root, row, work, full);
        console.log(`       ${row.name}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
    }
    const missing = jobs.filter((job) => !present(job)).map(([, row]) => row.name);
    if (missing.length > 0)
        console.log(`not run: ${missing.join(', ')}: not in ${shared}; QUANTIZE_SHARED names the folder`);
    console.log(`oracle: ${tally.passed} passed, ${tally.failed} failed`);
    process.exitCode = tally.failed === 0 && tally.passed > 0 ? 0 : 1;
}

main(process.argv.slice(2));
