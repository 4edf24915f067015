// ort_peer.js MODEL THREADS - ONNX Runtime's side of `make bench`; see peer.c for the lines it answers.
//
// All graph optimizations, exactly THREADS threads inside an op, one op at a time. Its threads spin while a run lasts (the
// default) and stop when it ends, so that they take nothing from the other side.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const npy = require('../oracle/npy');
const ort = require('../oracle/node_modules/onnxruntime-node');

const [model, threads] = process.argv.slice(2);
const answer = (object) => process.stdout.write(JSON.stringify(object) + '\n');
const seconds = () => Number(process.hrtime.bigint()) / 1e9;
// Of all threads.
const cpuSeconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
};

// VmHWM: the most memory that was resident.
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;

async function main() {
    const begin = seconds();
    const session = await ort.InferenceSession.create(model, {
        graphOptimizationLevel: 'all',
        executionMode: 'sequential',
        intraOpNumThreads: Number(threads),
        interOpNumThreads: 1,
        logSeverityLevel: 3,
        extra: { session: { force_spinning_stop: '1' } },
    });
    const inputs = {};
    let outputs = {};
    const commands = {
        input: (i, ...file) => {
            const t = npy.read(file.join(' '));
            inputs[session.inputNames[Number(i)]] = new ort.Tensor(t.type, t.data, t.dims);
            return {};
        },
        run: async (limit) => {
            const times = [], cpu = [], start = seconds();
            let end = start, cpuEnd = cpuSeconds();
            do {
                const from = end, cpuFrom = cpuEnd;
                outputs = await session.run(inputs);
                end = seconds();
                cpuEnd = cpuSeconds();
                times.push(end - from);
                cpu.push(cpuEnd - cpuFrom);
            } while (end - start < Number(limit));
            return { seconds: times, cpu };
        },
        write: (folder) => {
            session.outputNames.forEach((name, i) => {
                const t = outputs[name];
                npy.write(path.join(folder, `${i}.npy`), { type: t.type, dims: [...t.dims], data: t.data });
            });
            return { outputs: session.outputNames };
        },
        memory: () => ({ peak: peak() }),
    };
    const meta = session.inputMetadata.map(({ name, type, shape }) => ({ name, type, shape: [...shape] }));
    answer({ load: seconds() - begin, inputs: session.inputNames, meta });
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [command, ...words] = line.split(' ');
        answer(await commands[command](...words));
    }
}

main().catch((error) => {
    process.stderr.write(`ort_peer: ${error.message}\n`);
    process.exit(1);
});
