// jobs.js - whole jobs and start-up beside plain inference (`make bench-jobs`); generated models, random inputs from a seed.
//
//     SAMPLES=100   of ResNet-50's job          SOUND=FILE   a recording of ten minutes (default: that of QUANTIZE_SHARED)
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { ROOT } = require('../oracle/program');
const peers = require('./peers');

const WORK = path.join(ROOT, 'build/bench');
const QUANTIZE = path.resolve(process.env.QUANTIZE || path.join(ROOT, 'quantize'));
const SAMPLES = Number(process.env.SAMPLES || 100);
const SOUND = process.env.SOUND || path.join(path.resolve(ROOT, process.env.QUANTIZE_SHARED || '../shared'),
    'data/soundscape/soundscape10min.ogg');
const model = (name) => path.join(WORK, `${name}.onnx`);

// Seconds of a run of the program, and what it said.
function timed(args) {
    const begin = process.hrtime.bigint();
    const result = spawnSync(QUANTIZE, args.map(String), { cwd: WORK, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (result.status !== 0)
        throw new Error(result.stderr.trim().split('\n').pop());
    return { seconds: Number(process.hrtime.bigint() - begin) / 1e9, text: result.stdout + result.stderr };
}

const row = (what, value, note) => console.log(`| ${what} | ${value} | ${note || ''} |`);
const median = (all) => peers.percentile(all, 0.5);

// Files of the model's input.
async function folderOf(name, given, count = SAMPLES) {
    const folder = path.join(WORK, 'jobs', `${name}_${count}`);
    fs.rmSync(folder, { recursive: true, force: true });
    const folders = Array.from({ length: count }, (_, k) => path.join(folder, String(k).padStart(4, '0')));
    await peers.writeInputs(model(name), given, folders, 1);
    return folder;
}

// The whole job against the time ONNX Runtime takes for the same inputs with the float model and two threads.
async function wholeJob(folder) {
    const theirs = peers.openTheirs(model('resnet50'), 2);
    await theirs.ready;
    let plain = 0;
    for (const sample of fs.readdirSync(folder)) {
        await theirs.ask('input', 0, path.join(folder, sample, 'input_0.npy'));
        plain += (await theirs.ask('run', 0)).seconds[0];
    }
    theirs.close();
    const { seconds } = timed([model('resnet50'), '--calib', folder, '--effort', 'fast', '--threads', 2, '-o', 'job.int8.onnx',
        '--report', 'job.json', '-q']);
    const report = JSON.parse(fs.readFileSync(path.join(WORK, 'job.json')));
    const memory = report.host.peak_memory_bytes / (1 << 20);
    row(`whole job, ResNet-50, ${SAMPLES} inputs`, `${seconds.toFixed(1)} s`, `ONNX Runtime's float run of them ${plain.toFixed(1)} s; ` +
        `ratio ${(seconds / plain).toFixed(2)}; peak ${memory.toFixed(0)} MiB`);
}

// Calibration with histograms of all values against running the model, each thread a sample of its own; in turn, three times.
function calibration(name, folder) {
    const rounds = [1, 2, 3].map(() => {
        const { text } = timed(['calibrate', model(name), '--calib', folder, '--threads', 2, '-o', 'job.ranges.json']);
        timed(['bench', model(name), '--input', folder, '--samples', 64, '--threads', 2, '--parallel', '--duration', 4,
            '--report', 'job.bench.json']);
        const running = JSON.parse(fs.readFileSync(path.join(WORK, 'job.bench.json'))).samples_per_second;
        const calibrating = Number(/calibrating: .*\(([\d.]+)\/s\)/.exec(text)[1]);
        return { running, calibrating, overhead: running / calibrating - 1 };
    }).sort((a, b) => a.overhead - b.overhead);
    row(`calibration overhead, ${name}`, `${(rounds[1].overhead * 100).toFixed(0)} %`, `${rounds[1].calibrating.toFixed(1)} samples/s ` +
        `calibrating, ${rounds[1].running.toFixed(1)} running; median of three, ${(rounds[0].overhead * 100).toFixed(0)} to ` +
        `${(rounds[2].overhead * 100).toFixed(0)} %`);
}

// EfficientNet-B0 over log-mel windows of 5 s: decoding, spectrogram and model, in float and in integers.
function soundscape() {
    const audio = ['--sample-rate', 32000, '--window', 5, '--features', 'logmel:n_fft=2048,hop_length=512,n_mels=128'];
    const int8 = path.join(WORK, 'efficientnet_b0_mel.int8.onnx');
    timed([model('efficientnet_b0_mel'), '--calib', SOUND, '--samples', 12, ...audio, '-o', int8, '-q']);
    for (const file of [model('efficientnet_b0_mel'), int8]) {
        const { seconds } = timed(['run', file, '--input', SOUND, '--threads', 2, '-q', ...audio]);
        row(`ten minutes of sound, ${path.basename(file)}`, `${seconds.toFixed(2)} s`,
            `200 recordings: ${(seconds * 200 / 60).toFixed(1)} minutes, extrapolated`);
    }
}

function startUp() {
    const inspect = Array.from({ length: 9 }, () => timed(['inspect', model('resnet50')]).seconds);
    row('inspect, ResNet-50 of 102 MB', `${(median(inspect) * 1e3).toFixed(0)} ms`, 'median of 9, process start included');
    timed(['bench', model('resnet50'), '--threads', 1, '--duration', 1, '--report', 'job.bench.json']);
    const report = JSON.parse(fs.readFileSync(path.join(WORK, 'job.bench.json')));
    row('planning ResNet-50', `${(report.simplify_ms + report.plan_ms + report.first_run_ms - report.median_ms).toFixed(0)} ms`,
        'simplify, plan, and what the first run takes longer than the median');
}

async function main() {
    console.log(`${new Date().toISOString().slice(0, 10)}, ${os.cpus()[0].model}, ${os.cpus().length} cores, load ` +
        `${os.loadavg()[0].toFixed(1)}\n\n| job | | |\n|---|---|---|`);
    startUp();
    const folder = await folderOf('resnet50', {});
    await wholeJob(folder);
    calibration('resnet50', folder);
    calibration('mobilenetv2', await folderOf('mobilenetv2', {}, 4 * SAMPLES)); // 0.5 s are too short to tell
    const text = { dims: { input_ids: [1, 128], attention_mask: [1, 128] } };
    calibration('bert_base', await folderOf('bert_base', text));
    if (fs.existsSync(SOUND))
        soundscape();
}

main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
