// prepare.js - data of a row as options of the program.
//
//     a folder or recording ──────────────────────────────> --calib PATH
//     labels ── a folder of links to the files they name ─> --calib FOLDER
//     a maker ── FOLDER/INPUT/0000.npy ... ────────────────> --calib FOLDER/INPUT, or --input INPUT=FOLDER/INPUT for each
//
// Makers turn the shared texts and recordings into what models with other inputs read, as their repositories do it.
'use strict';

const fs = require('fs');
const path = require('path');
const npy = require('../oracle/npy');
const program = require('../oracle/program');
const runtime = require('./runtime');

const floats = (dims, value) => {
    const data = new Float32Array(dims.reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++)
        data[i] = value(i);
    return { type: 'float32', dims, data };
};

const int64 = (rows) => ({ type: 'int64', dims: [rows.length, rows[0].length], data: BigInt64Array.from(rows.flat().map(BigInt)) });

const lines = (shared, file) => fs.readFileSync(path.join(shared, file), 'utf8').split('\n').filter(Boolean);

// Normal numbers, the same in every run: Park and Miller's generator, Box and Muller's transform.
function* normals() {
    let state = 1;
    const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647;
    for (;;)
        yield Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

// ---- text -----------------------------------------------------------------------------------------------------------------

// WordPiece: from the left the longest piece that the vocabulary has; pieces inside a word begin with ##.
function wordPieces(word, vocabulary) {
    const ids = [];
    for (let start = 0; start < word.length;) {
        let end = word.length;
        const piece = () => (start > 0 ? '##' : '') + word.slice(start, end);
        while (end > start && !vocabulary.has(piece()))
            end--;
        if (end === start)
            return [vocabulary.get('[UNK]')];
        ids.push(vocabulary.get(piece()));
        start = end;
    }
    return ids;
}

// Token ids of every sentence: of the dev set as they are given, of the training set made here.
function sentenceIds(shared, text) {
    if (text === 'dev')
        return lines(shared, 'data/text/sst2_dev_bert_ids.tsv').map((line) => line.split('\t')[1].trim().split(/\s+/).map(Number));
    const vocabulary = new Map(lines(shared, 'data/text/bert_base_uncased_vocab.txt').map((word, id) => [word.trim(), id]));
    return lines(shared, 'data/text/sst2_train_500.tsv').map((line) => {
        const words = line.split('\t')[0].toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) || [];
        return [vocabulary.get('[CLS]'), ...words.flatMap((word) => wordPieces(word, vocabulary)), vocabulary.get('[SEP]')];
    });
}

// ---- sound ----------------------------------------------------------------------------------------------------------------

// 16-bit mono PCM as numbers in -1..1.
function readWav(file) {
    const bytes = fs.readFileSync(file);
    const start = bytes.indexOf('data', 12, 'latin1') + 8;
    return Float32Array.from({ length: (bytes.length - start) >> 1 }, (_, i) => bytes.readInt16LE(start + 2 * i) / 32768);
}

const speechFiles = (shared) => lines(shared, 'data/speech_commands/labels.txt').map((line) => line.split(/\s+/)[0]);

// Paths, evenly spread over the classes, from number `skip` of the spread on.
function someSpeech(shared, count, skip = 0) {
    const files = speechFiles(shared), step = files.length / (count + skip);
    return Array.from({ length: count }, (_, k) => path.join(shared, 'data/speech_commands', files[Math.floor((k + skip) * step)]));
}

// Bins 0..256 of 512 samples under the root of a Hann window: [re, im], by the definition of the DFT.
function spectrum(audio, start) {
    return Array.from({ length: 257 }, (_, bin) => {
        let re = 0, im = 0;
        for (let n = 0; n < 512; n++) {
            const x = (audio[start + n] || 0) * Math.sin(Math.PI * n / 512), angle = 2 * Math.PI * bin * n / 512;
            re += x * Math.cos(angle);
            im -= x * Math.sin(angle);
        }
        return [re, im];
    });
}

// ---- makers: parameters, shared folder -> samples, each {input: tensor} -----------------------------------------------------

const MAKERS = {
    noise({ shapes, count = 64, deviation = 1 }) {
        const random = normals();
        return Array.from({ length: count }, () => Object.fromEntries(Object.entries(shapes).map(([name, dims]) =>
            [name, floats(dims, () => deviation * random.next().value)])));
    },
    // Batches of sentences, padded to the longest of the batch or to `length`; full: no padding, sentences repeated.
    sentences({ text, batch, length = 0, count = Infinity, below = Infinity, pad = 0, full = false }, shared) {
        const sentences = sentenceIds(shared, text), samples = [];
        for (let k = 0; k < sentences.length && samples.length < count; k += batch) {
            const rows = sentences.slice(k, k + batch).map((row) => row.map((id) => (id < below ? id : 4 + id % (below - 4))));
            const longest = full ? length : Math.max(length, ...rows.map((row) => row.length));
            const fill = (row, value) => [...row, ...Array(Math.max(longest - row.length, 0)).fill(value)].slice(0, longest);
            samples.push({
                input_ids: int64(rows.map((row) => (full ? fill([...row, ...row, ...row, ...row], 1012) : fill(row, pad)))),
                attention_mask: int64(rows.map((row) => fill(row.map(() => 1), full ? 1 : 0))),
            });
        }
        return samples;
    },
    textBytes({ count = 32, skip = 0 }, shared) {
        const text = fs.readFileSync(path.join(shared, 'data/text/sst2_train_500.tsv'));
        const begin = (k) => (skip + k) * 400;
        return Array.from({ length: count }, (_, k) => k).filter((k) => begin(k + 1) <= text.length).map((k) => ({
            input: { type: 'uint8', dims: [1, 400], data: new Uint8Array(text.subarray(begin(k), begin(k + 1))) },
        }));
    },
    // The first and the last 2048 bytes of a file, white space stripped at both ends; 256 where there are no more.
    fileBytes({ count = 8, skip = 0 }, shared) {
        const folders = ['data/text', 'data/imagenet/calib', 'data/coco', 'data/speech_commands/yes', 'design', 'models/audio',
            'models/architectures', 'data/soundscape'];
        const files = folders.flatMap((folder) => fs.readdirSync(path.join(shared, folder)).sort().slice(skip, skip + count)
            .map((file) => path.join(shared, folder, file))).filter((file) => fs.statSync(file).isFile());
        return files.map((file) => {
            const bytes = fs.readFileSync(file), data = new Int32Array(4096).fill(256);
            const blank = (byte) => [9, 10, 11, 12, 13, 32].includes(byte);
            let start = 0, end = bytes.length;
            while (start < end && blank(bytes[start]))
                start++;
            while (end > start && blank(bytes[end - 1]))
                end--;
            for (let i = 0; i < Math.min(2048, end - start); i++) {
                data[i] = bytes[start + i];
                data[4095 - i] = bytes[end - 1 - i];
            }
            return { bytes: { type: 'int32', dims: [1, 4096], data } };
        });
    },
    // Spectra of one recording after the other, 512 samples each 256.
    frames({ count }, shared) {
        const samples = [];
        for (const file of someSpeech(shared, 12)) {
            const audio = readWav(file);
            for (let start = 0; start + 512 <= audio.length && samples.length < count; start += 256) {
                const column = spectrum(audio, start);
                samples.push({ mix: floats([1, 257, 1, 2], (i) => column[i >> 1][i & 1]) });
            }
        }
        return samples;
    },
    // What openWakeWord's own front end hears: 76 columns of x / 10 + 2, samples as 16-bit numbers.
    async mels({ count, skip }, shared) {
        const session = await runtime.open(path.join(shared, 'models/audio/openwakeword_melspectrogram.onnx'));
        const samples = [];
        for (const file of someSpeech(shared, count, skip)) {
            const audio = readWav(file), length = 400 + 160 * 99;
            const input = floats([1, length], (i) => 32768 * (audio[i % audio.length] || 0));
            const { output } = await runtime.run(session, { [session.inputNames[0]]: input });
            samples.push({ input_1: floats([1, 76, 32, 1], (i) => output.data[i] / 10 + 2) });
        }
        await session.release();
        return samples;
    },
};

function writeSamples(folder, samples) {
    program.freshFolder(folder);
    for (const input of Object.keys(samples[0])) {
        fs.mkdirSync(path.join(folder, input));
        samples.forEach((sample, k) => npy.write(path.join(folder, input, `${String(k).padStart(4, '0')}.npy`), sample[input]));
    }
    return Object.keys(samples[0]).map((input) => [input, path.join(folder, input)]);
}

// A folder of links to files below root, / in their names as _.
function linked(root, files, folder) {
    program.freshFolder(folder);
    for (const file of files)
        fs.symlinkSync(path.join(root, file), path.join(folder, file.replace(/\//g, '_')));
    return folder;
}

// Data -> path of a folder or file, or [input, path] for each of several inputs.
async function place(data, shared, folder) {
    if (typeof data === 'string' && data.endsWith('.txt')) {
        const root = path.join(shared, 'data', path.dirname(data));
        return linked(root, program.readLabels(path.join(shared, 'data', data)).map(([file]) => file), folder);
    }
    if (typeof data === 'string')
        return path.join(shared, 'data', data);
    if (data.make === 'recordings')
        return linked(path.join(shared, 'data/speech_commands'), speechFiles(shared).filter((_, k) => (k % 3 === 0) === data.third),
            folder);
    if (data.make !== undefined) {
        const inputs = writeSamples(folder, await MAKERS[data.make](data, shared));
        return inputs.length === 1 ? inputs[0][1] : inputs;
    }
    fs.mkdirSync(path.dirname(folder), { recursive: true });
    npy.write(`${folder}.npy`, data); // a tensor, the same for every sample
    return `${folder}.npy`;
}

// The options that name the data of a row; option: --calib or --input, where it is all in one place.
async function dataOptions(row, data, shared, folder, option) {
    if (row.inputs !== undefined) {
        const options = [];
        for (const [input, source] of Object.entries(row.inputs))
            options.push('--input', `${input}=${await place(source, shared, path.join(folder, input))}`);
        return options;
    }
    const at = await place(data, shared, folder);
    return typeof at === 'string' ? [option, at] : at.flatMap(([input, file]) => ['--input', `${input}=${file}`]);
}

// First sample of a maker, as tensors.
async function firstSample(maker, shared) {
    return (await MAKERS[maker.make](maker, shared))[0];
}

module.exports = { dataOptions, firstSample };
