// models_audio.js - models that hear: rows as those of models.js. docs/calibration.md shows the same as commands.
'use strict';

const DEMO_AUDIO = {
    name: 'demo audio keywords', file: 'keywords.onnx', calib: 'calib', options: [],
    samples: 3, calibrate: 0, eval: 'eval', labels: 'eval_labels.txt', points: 1.5, ortPoints: 0.4,
};

const SPEECH = 'data/speech_commands', SOUNDSCAPE = 'data/soundscape/soundscape10min.ogg';
const LOG_MEL = ['--window', '1', '--sample-rate', '16000', '--features', 'logmel:n_fft=512,win_length=400,' +
    'hop_length=160,n_mels=64,fmin=20,fmax=7600,htk=1,norm=none,offset=1e-6,mean=-6.737,std=4.83'];
// Recipes are not tried for nets that are slow to run: what is compared is the same.
const FAST = ['--effort', 'fast'];
const RATE_16000 = { type: 'int64', dims: [], data: BigInt64Array.of(16000n) };

// The Silero detectors take windows of 576 samples, 64 of which they have heard before.
const silero = (name, file) => ({
    name: `audio ${name}`, file: `models/audio/${file}`, inputs: { input: `${SPEECH}/yes`, sr: RATE_16000 }, state: true,
    options: ['--sample-rate', '16000', '--window', '0.036', '--hop', '0.032', '--state', 'state=stateN', '--shape',
        'state=2x1x128'],
    samples: 3, calibrate: 100, allFloat: true,
});

const AUDIO = [
    ...['kws_cnn_bn', 'kws_lstm'].map((name) => ({
        name: `audio ${name}`, file: `models/audio/${name}.onnx`, calib: SPEECH, options: LOG_MEL,
        samples: 3, calibrate: 100, eval: SPEECH, labels: `${SPEECH}/labels.txt`, points: 1.0, ortPoints: 0.4,
    })),
    {
        name: 'audio mlperftiny_kws_dscnn', file: 'models/audio/mlperftiny_kws_dscnn.onnx', calib: SPEECH,
        options: ['--preset', 'kws'],
        samples: 3, calibrate: 100,
    },
    {
        name: 'audio dnsmos', file: 'models/audio/dnsmos_sig_bak_ovr.onnx', calib: 'data/soundscape/blanket_boat.ogg',
        options: ['--sample-rate', '16000', '--hop', '4'], samples: 1, calibrate: 2, job: FAST,
    },
    {
        name: 'audio dtln_1', file: 'models/audio/dtln_1.onnx', calib: SPEECH, state: true,
        options: ['--sample-rate', '16000', '--hop', '0.008', '--features',
            'stft:n_fft=512,hop_length=128,power=1,center=0,window=boxcar', '--state', 'input_3=tf_op_layer_stack_2'],
        samples: 60, calibrate: 400,
    },
    {
        name: 'audio dtln_2', file: 'models/audio/dtln_2.onnx', calib: SPEECH, state: true,
        options: ['--sample-rate', '16000', '--hop', '0.008', '--state', 'input_5=tf_op_layer_stack_5'],
        samples: 60, calibrate: 400,
    },
    {
        name: 'audio gtcrn', file: 'models/audio/gtcrn_stream.onnx', calib: SPEECH, state: true,
        options: ['--sample-rate', '16000', '--hop', '0.016', '--features',
            'stft:n_fft=512,hop_length=256,power=none,center=0,window=sqrt_hann',
            ...['conv_cache', 'tra_cache', 'inter_cache'].flatMap((name) => ['--state', `${name}=${name}_out`])],
        samples: 30, calibrate: 60, job: FAST,
    },
    silero('silero_vad_v5', 'silero_vad_v5.onnx'),
    silero('silero_vad_v6', 'silero_vad_v6_op18_ifless.onnx'),
    {
        name: 'audio openwakeword_melspectrogram', file: 'models/audio/openwakeword_melspectrogram.onnx', calib: SPEECH,
        options: ['--sample-rate', '16000', '--features', 'raw:scale=32768'], samples: 3, calibrate: 50, allFloat: true,
    },
    {
        name: 'audio openwakeword_embedding', file: 'models/audio/openwakeword_embedding_model.onnx', calib: SPEECH,
        options: ['--sample-rate', '16000', '--features', 'logmel:n_fft=512,win_length=400,hop_length=160,n_mels=32,' +
            'fmin=60,fmax=3800,center=0,log=db,scale=32768,mean=-20,std=10'],
        samples: 3, calibrate: 50,
    },
    {
        name: 'audio basic_pitch', file: 'models/audio/basic_pitch_nmp.onnx', calib: 'data/soundscape/blanket_boat.ogg',
        options: ['--sample-rate', '22050'], samples: 1, calibrate: 3,
    },
    // Behind a float stem sums in another order move the whole net of random weights: it is compared in integers alone.
    ...[['mel_conv_classifier', 5, 6, 15, []], ['rawaudio_conv1d', 5, 6, 10, [...FAST, '--placement', 'all']],
        ['mel_stft_classifier', 1, 20, 15, []]].map(([name, window, calibrate, margin, job]) => ({
            name: `audio ${name}`, file: `models/architectures/${name}.onnx.gz`, calib: SOUNDSCAPE,
            options: ['--sample-rate', '16000', '--window', window], samples: 1, calibrate, margin, job,
        })),
];

module.exports = { DEMO_AUDIO, AUDIO };
