// program.js - calls `quantize` and the probe, and reads the .npy files that `quantize run` writes.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const npy = require('./npy');

const ROOT = path.resolve(__dirname, '../..');
const QUANTIZE = path.resolve(process.env.QUANTIZE || path.join(ROOT, 'quantize'));
const GENERATOR = path.resolve(process.env.GENERATOR || path.join(ROOT, 'build/release/bench-models'));
const PROBE = path.resolve(process.env.PROBE || path.join(ROOT, 'build/release/probe'));

function call(program, args, cwd) {
    const result = spawnSync(program, args.map(String), { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (result.error)
        throw result.error;
    if (result.status !== 0) {
        const how = result.status === null ? result.signal : result.status;
        throw new Error(`${path.basename(program)} ended with ${how}: ${result.stderr.trim().split('\n').pop()}`);
    }
    return result.stdout;
}

const quantize = (args, cwd) => call(QUANTIZE, args, cwd);
const probe = (args) => call(PROBE, args);

// An empty folder, made anew.
function freshFolder(folder) {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    return folder;
}

const fileName = (sample, value) => `${sample}.${value}.npy`.replace(/[/:]/g, '_');

// Samples whose first value `name` lies in the folder, sorted.
function samplesIn(folder, name) {
    const end = fileName('', name);
    return fs.readdirSync(folder).filter((file) => file.endsWith(end)).map((file) => file.slice(0, -end.length)).sort();
}

// name -> tensor of one sample.
function readTensors(folder, sample, names) {
    return Object.fromEntries(names.map((name) => [name, npy.read(path.join(folder, fileName(sample, name)))]));
}

// "file index" lines -> [[file, index]]
function readLabels(file) {
    return fs.readFileSync(file, 'utf8').split('\n').map((line) => /^(.*\S)\s+(\d+)\s*$/.exec(line)).filter(Boolean)
        .map((match) => [match[1], Number(match[2])]);
}

// The folder of data of a row; a list of labels becomes a folder of links to the files it names.
function dataFolder(root, data, work) {
    const source = path.join(root, data);
    if (!source.endsWith('.txt'))
        return source;
    const folder = freshFolder(path.join(work, 'calib'));
    for (const [file] of readLabels(source))
        fs.symlinkSync(path.resolve(path.dirname(source), file), path.join(folder, file.replace(/\//g, '_')));
    return folder;
}

// The model of a row: a .gz becomes a file of its own, `generate` names one of tests/bench with random weights.
function modelFile(root, { file, generate }, work) {
    if (generate !== undefined) {
        call(GENERATOR, [work, generate]);
        return path.join(work, `${generate}.onnx`);
    }
    const source = path.join(root, file);
    if (!source.endsWith('.gz'))
        return source;
    const unpacked = path.join(work, path.basename(source, '.gz'));
    fs.writeFileSync(unpacked, zlib.gunzipSync(fs.readFileSync(source)));
    return unpacked;
}

// Sentences as token numbers, "label TAB numbers" a line, each as long as it is: [1, length], or ones for a mask.
function tokenFolder(root, { tokens, lines, mask, below }, folder) {
    freshFolder(folder);
    fs.readFileSync(path.join(root, tokens), 'utf8').split('\n').slice(0, lines).forEach((line, k) => {
        const numbers = line.split('\t')[1].trim().split(' ').map((word) => (mask ? 1n : BigInt(word) % BigInt(below)));
        npy.write(path.join(folder, `${String(k).padStart(3, '0')}.npy`),
            { type: 'int64', dims: [1, numbers.length], data: BigInt64Array.from(numbers) });
    });
    return folder;
}

// Data of a row as options: all in one place, or each input by itself, tensors written as .npy.
function dataOptions(root, row, work, option) {
    if (row.inputs === undefined)
        return [option, dataFolder(root, row.calib, work)];
    return Object.entries(row.inputs).flatMap(([name, data]) => {
        if (data.tokens !== undefined)
            return ['--input', `${name}=${tokenFolder(root, data, path.join(work, name))}`];
        if (typeof data === 'string')
            return ['--input', `${name}=${path.join(root, data)}`];
        const file = path.join(work, `${name}.npy`);
        npy.write(file, data);
        return ['--input', `${name}=${file}`];
    });
}

module.exports = { ROOT, quantize, probe, freshFolder, fileName, samplesIn, readTensors, readLabels, modelFile,
    dataOptions };
