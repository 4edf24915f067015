// peers.js - two processes that run one model in turn on one set of inputs, and what is made of their times.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const npy = require('../oracle/npy');
const { ROOT } = require('../oracle/program');

const PEER = path.resolve(process.env.PEER || path.join(ROOT, 'build/release/bench-peer'));
const PAUSE_MS = 20; // between the sides: threads that spin after a run have gone to sleep

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// A child process that answers each line with a line of JSON.
class Peer {
    constructor(program, args) {
        this.child = spawn(program, args.map(String), { stdio: ['pipe', 'pipe', 'pipe'] });
        this.errors = '';
        this.waiting = [];
        this.child.stderr.on('data', (data) => { this.errors += data; });
        readline.createInterface({ input: this.child.stdout })
            .on('line', (line) => this.waiting.shift().resolve(JSON.parse(line)));
        this.child.on('close', (code, signal) => {
            const lines = this.errors.trim().split('\n');
            const told = lines.find((line) => /error|quantize:|peer:/i.test(line)) || lines.pop() || `ended with ${code ?? signal}`;
            for (const { reject } of this.waiting)
                reject(new Error(told));
            this.ended = told;
        });
        this.child.stdin.on('error', () => {});
        this.ready = this.answer();
    }
    answer() {
        if (this.ended !== undefined)
            return Promise.reject(new Error(this.ended));
        return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    }
    ask(...words) {
        this.child.stdin.write(words.join(' ') + '\n');
        return this.answer();
    }
    close() {
        this.child.stdin.end();
    }
}

const openOurs = (model, threads) => new Peer(PEER, [model, threads]);
const openTheirs = (model, threads) => new Peer(process.execPath, [path.join(__dirname, 'ort_peer.js'), model, threads]);

// ---- inputs: numbers from a fixed seed --------------------------------------------------------------------------------

function randomNumbers(seed) {
    let state = seed >>> 0;
    return () => { // Numerical Recipes' generator of 32 bits
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 4294967296;
    };
}

const KINDS = { float32: Float32Array, uint8: Uint8Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array };

function makeInput({ name, type, shape }, row, seed) {
    const given = row.dims && (row.dims[name] || row.dims['*']);
    const dims = given || shape.map((size, axis) => (typeof size === 'number' && size > 0 ? size : axis === 0 ? 1 : NaN));
    if (dims.some(Number.isNaN))
        throw new Error(`input '${name}' leaves sizes open: ${shape}`);
    const random = randomNumbers(seed), count = dims.reduce((a, b) => a * b, 1);
    const normal = () => (random() + random() + random() + random() - 2) * Math.sqrt(3);
    const value = type === 'float32' ? normal : /mask/.test(name) ? () => 1
        : () => Math.floor(random() * (row.ids || 100));
    const number = type === 'int64' ? () => BigInt(value()) : value;
    if (!(type in KINDS))
        throw new Error(`input '${name}' is of type ${type}`);
    return { type, dims, data: KINDS[type].from({ length: count }, number) };
}

// The inputs of a model as FOLDER/input_K.npy, one sample a folder; the model is described by ONNX Runtime. Returns the shapes.
async function writeInputs(model, row, folders, seed) {
    const peer = openTheirs(model, 1);
    let made = [];
    try {
        const { meta } = await peer.ready;
        for (const [sample, folder] of folders.entries()) {
            fs.mkdirSync(folder, { recursive: true });
            made = meta.map((input, i) => {
                const tensor = makeInput(input, row, seed + sample * meta.length + i);
                npy.write(path.join(folder, `input_${i}.npy`), tensor);
                return { name: input.name, dims: tensor.dims };
            });
        }
    } finally {
        peer.close();
    }
    return made;
}

async function feed(peer, inputs, folder) {
    const { inputs: names } = await peer.ready;
    for (const [i, name] of names.entries()) {
        const from = inputs.findIndex((input) => input.name === name);
        await peer.ask('input', i, path.join(folder, `input_${from}.npy`));
    }
}

// ---- times ------------------------------------------------------------------------------------------------------------

const sorted = (times) => [...times].sort((a, b) => a - b);
function percentile(times, share) {
    const all = sorted(times);
    return all[Math.min(all.length - 1, Math.max(0, Math.ceil(share * all.length) - 1))];
}

const summary = ({ seconds, cpu }) => ({
    median: percentile(seconds, 0.5), p10: percentile(seconds, 0.1), p90: percentile(seconds, 0.9),
    cpu: percentile(cpu, 0.5), runs: seconds.length,
});

// Both sides in turn, each `seconds` in all, in `rounds` pieces. Returns a summary of each, their memory, and output files.
async function race(model, threads, inputs, folder, { seconds, rounds }) {
    const sides = [openOurs(model, threads), openTheirs(model, threads)];
    try {
        const starts = [];
        for (const side of sides) {
            starts.push(await side.ready);
            await feed(side, inputs, folder);
        }
        const first = [];
        for (const side of sides)
            first.push((await side.ask('run', 0)).seconds[0]);
        for (const side of sides)
            await side.ask('run', Math.min(0.3, seconds / 4));
        const times = sides.map(() => ({ seconds: [], cpu: [] }));
        for (let round = 0; round < rounds; round++)
            for (const [i, side] of sides.entries()) {
                await sleep(PAUSE_MS);
                const runs = await side.ask('run', seconds / rounds);
                times[i].seconds.push(...runs.seconds);
                times[i].cpu.push(...runs.cpu);
            }
        const outputs = [];
        for (const [i, side] of sides.entries()) {
            const where = path.join(folder, i === 0 ? 'ours' : 'theirs');
            fs.mkdirSync(where, { recursive: true });
            outputs.push((await side.ask('write', where)).outputs.map((name, k) => [name, path.join(where, `${k}.npy`)]));
        }
        const memory = [];
        for (const side of sides)
            memory.push((await side.ask('memory')).peak);
        return { ours: summary(times[0]), theirs: summary(times[1]), starts, first, memory, outputs };
    } finally {
        for (const side of sides)
            side.close();
    }
}

module.exports = { writeInputs, race, openTheirs, percentile, summary };
