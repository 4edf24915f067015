// rows.js - the models of docs/results.md: what each is calibrated with, what a user types for it, and what is measured.
//
//     file     below models/; a .gz is unpacked first
//     calib    a path below data/, or a maker of prepare.js; samples: how many of them calibrate (default: all)
//     eval     what accuracy is measured on, likewise (default: calib), or several by name; evalSamples: how many (default 100)
//     options  what is typed besides; where a row has none, that of the same model in ../oracle/models*.js
//     inputs   in place of calib: data of each input, a path or a tensor
//     state    samples follow each other: an output goes back to an input
//     task     [kind of figures.js, its parameters], with labels where there are any
//     time     a maker: what latency is measured with (default: the first sample that is measured)
//     reason   why less than 95 % of the multiplications run in integers, or the model gains nothing
'use strict';

const { SHARED } = require('../oracle/models');
const { AUDIO } = require('../oracle/models_audio');

const IMAGENET = { calib: 'imagenet/calib', options: ['--preset', 'imagenet'] };
const CIFAR = { calib: 'cifar10/calib_labels.txt', eval: 'cifar10/val_labels.txt', evalSamples: 1000, task: ['top1'],
    labels: 'cifar10/val_labels.txt' };
const CIFAR_OPTIONS = ['--mean', '0.4914,0.4822,0.4465', '--std', '0.2470,0.2435,0.2616'];
// Every third recording calibrates, the others are measured.
const SPEECH = { calib: { make: 'recordings', third: true }, eval: { make: 'recordings', third: false } };
const LABELLED_SPEECH = { ...SPEECH, evalSamples: 200, task: ['top1'], labels: 'speech_commands/labels.txt' };
const WORDS = { calib: { make: 'sentences', text: 'train', batch: 8 } };
const RECURRENT = 'LSTM: no static integer kernel';

const ROWS = [
    { file: 'classify/squeezenet1.1_imagenet.onnx', ...IMAGENET, eval: 'imagenet/val', evalSamples: 500, task: ['top1'],
        labels: 'imagenet/val_labels.txt' },
    { file: 'classify/mobilenetv2_bn_unfolded_backbone.onnx', ...IMAGENET, eval: 'imagenet/val', task: ['cosine'] },
    { file: 'classify/mbv2_cifar_bn.onnx', options: CIFAR_OPTIONS, ...CIFAR },
    { file: 'classify/mlperftiny_resnet8_cifar10.onnx', ...CIFAR },
    { file: 'classify/vnncomp_resnet_4b.onnx', ...CIFAR },
    { file: 'classify/mnist_cntk.onnx', ...CIFAR, evalSamples: 200, task: ['class'] },
    { file: 'classify/emnist_cnn.onnx', ...CIFAR, evalSamples: 200, task: ['class'] },
    { file: 'classify/face_antispoof_minifasnet.onnx', calib: 'faces', options: ['--preset', 'unit'], task: ['class'] },
    { file: 'classify/fsanet_headpose_var.onnx', calib: 'faces', options: ['--preset', 'unit'], task: ['error', 'degrees'] },
    { file: 'classify/magika_standard_v2_1.onnx', calib: { make: 'fileBytes' }, eval: { make: 'fileBytes', skip: 8 },
        task: ['class'] },
    { file: 'classify/vnncomp_collins_rul_full_40.onnx', calib: { make: 'noise', deviation: 0.2,
        shapes: { imageinput: [1, 1, 40, 20] } } },
    { file: 'detect/yolov8n_coco.onnx', calib: 'coco', task: ['yolo'] },
    { file: 'detect/nanodet_m_320_coco.onnx', calib: 'coco', task: ['mask', { outputs: /^cls/, above: 0.4 }] },
    { file: 'detect/pfld_landmarks.onnx', calib: 'faces', task: ['error', 'of the face', 1] },
    { file: 'detect/retinaface_mnet25_v1.onnx', calib: 'faces', task: ['mask', { outputs: /cls_prob/, above: 0.5 }] },
    { file: 'detect/scrfd_500m_kps.onnx', calib: 'faces', task: ['mask', { outputs: /^out[012]$/, above: 0.5 }] },
    { file: 'detect/ultraface_RFB_320.onnx', calib: 'faces', task: ['mask', { outputs: /scores/, above: 0.5 }] },
    { file: 'vision/ch_PP-OCRv4_det_infer.onnx', calib: 'coco', options: ['--preset', 'imagenet', '--color', 'bgr', '--resize',
        'stretch', '--size', '320x320'], evalSamples: 16, task: ['mask', { outputs: /./, above: 0.3 }] },
    { file: 'vision/en_PP-OCRv4_rec_infer.onnx', calib: 'coco', options: ['--color', 'bgr', '--scale', '1', '--mean', '127.5',
        '--std', '127.5', '--resize', 'stretch', '--size', '320x48'], task: ['steps'] },
    { file: 'vision/espcn_x3_core.onnx', calib: 'coco', evalSamples: 8, task: ['psnr'] },
    { file: 'vision/vnncomp_carvana_unet_simp_small.onnx', calib: { make: 'noise', shapes: { INPUT: [1, 4, 31, 47] } } },
    { file: 'text/bert_sst2_ts.onnx', ...WORDS, labels: 'text/sst2_dev_bert_ids.tsv', task: ['sentences'], evalSamples: 872,
        eval: { padded: { make: 'sentences', batch: 8, length: 64, text: 'dev' },
            unpadded: { make: 'sentences', batch: 1, text: 'dev' } },
        time: { make: 'sentences', batch: 8, length: 32, full: true, count: 1, text: 'dev' } },
    { file: 'text/nnsplit_en_lstm.onnx', calib: { make: 'textBytes' }, eval: { make: 'textBytes', skip: 64 },
        task: ['mask', { outputs: /./, above: 0 }], reason: RECURRENT },
    { file: 'text/vnncomp_vit_ibp_3_3_8.onnx', options: ['--mean', '0.4914,0.4822,0.4465', '--std', '0.2023,0.1994,0.2010'],
        ...CIFAR },
    { file: 'audio/kws_cnn_bn.onnx', ...LABELLED_SPEECH },
    { file: 'audio/kws_lstm.onnx', ...LABELLED_SPEECH, reason: RECURRENT },
    { file: 'audio/mlperftiny_kws_dscnn.onnx', ...SPEECH, task: ['class'] },
    { file: 'audio/basic_pitch_nmp.onnx', evalSamples: 8, task: ['mask', { outputs: /./, above: 0.3 }] },
    { file: 'audio/dnsmos_sig_bak_ovr.onnx', evalSamples: 4, task: ['error', 'MOS points'] },
    { file: 'audio/dtln_1.onnx', samples: 400, reason: RECURRENT },
    { file: 'audio/dtln_2.onnx', samples: 400 },
    { file: 'audio/gtcrn_stream.onnx', inputs: { mix: { make: 'frames', count: 200 } }, state: true, samples: 200,
        options: ['conv_cache', 'tra_cache', 'inter_cache'].flatMap((name) => ['--state', `${name}=${name}_out`]) },
    { file: 'audio/openwakeword_melspectrogram.onnx', ...SPEECH, samples: 50,
        reason: 'a spectrogram: its squares need more than 8 bits' },
    { file: 'audio/openwakeword_embedding_model.onnx', calib: { make: 'mels', count: 100 },
        eval: { make: 'mels', count: 100, skip: 100 }, options: [], task: ['cosine'] },
    { file: 'audio/silero_vad_v5.onnx', samples: 100, reason: 'the whole net stands inside If' },
    { file: 'audio/silero_vad_v6_op18_ifless.onnx', samples: 100 },
    { file: 'architectures/deeplabv3_small_keepbn.onnx.gz', ...IMAGENET, evalSamples: 16, task: ['pixels'] },
    { file: 'architectures/efficientnet_b0.onnx.gz', ...IMAGENET, task: ['class'] },
    { file: 'architectures/fasterrcnn_mobilenet_v3_large_320_fpn.onnx.gz', calib: 'coco',
        options: ['--preset', 'unit', '--size', '320x320'], evalSamples: 8 },
    { file: 'architectures/lraspp_mobilenet_v3_large.onnx.gz', calib: 'imagenet/calib',
        options: ['--preset', 'imagenet', '--size', '224x224'], evalSamples: 16, task: ['pixels'] },
    { file: 'architectures/mobilenet_v3_small.onnx.gz', ...IMAGENET, task: ['class'] },
    { file: 'architectures/superres_x4.onnx.gz', calib: 'coco', options: ['--preset', 'unit', '--size', '64x64'],
        evalSamples: 16, task: ['psnr'] },
    { file: 'architectures/vit_small_4l.onnx.gz', ...IMAGENET, task: ['class'] },
    { file: 'architectures/roberta_cls.onnx.gz', calib: { make: 'sentences', text: 'train', batch: 8, below: 4000, pad: 1 },
        eval: { make: 'sentences', text: 'dev', batch: 8, below: 4000, pad: 1, count: 32 }, task: ['steps'] },
    { file: 'architectures/lstm_tagger.onnx.gz', calib: { make: 'noise', shapes: { features: [2, 60, 40] } }, task: ['steps'],
        reason: RECURRENT },
    { file: 'architectures/mel_conv_classifier.onnx.gz', ...SPEECH, options: ['--sample-rate', '16000', '--window', '1'],
        task: ['class'] },
    { file: 'architectures/mel_stft_classifier.onnx.gz', ...SPEECH, options: ['--sample-rate', '16000', '--window', '1'],
        task: ['class'] },
    { file: 'architectures/rawaudio_conv1d.onnx.gz', ...SPEECH, options: ['--sample-rate', '16000', '--window', '1'],
        task: ['class'] },
];

// Rows of the oracle tests have full paths below the shared folder; what is theirs stands in for what is not given here.
const known = new Map([...SHARED, ...AUDIO].map((row) => [row.file.replace(/^models\//, ''), row]));

for (const row of ROWS) {
    const { options = [], calib, inputs, state } = known.get(row.file) || {};
    row.name = row.file.replace(/.*\//, '').replace(/\.onnx(\.gz)?$/, '');
    row.options = row.options || options;
    row.state = row.state || state || false;
    row.evalSamples = row.evalSamples || 100;
    if (row.calib === undefined && row.inputs === undefined) {
        row.calib = calib && calib.replace(/^data\//, '');
        row.inputs = inputs && Object.fromEntries(Object.entries(inputs).map(([name, data]) =>
            [name, typeof data === 'string' ? data.replace(/^data\//, '') : data]));
    }
}

module.exports = { ROWS };
