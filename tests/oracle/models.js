// models.js - the models that are checked, each a row: file and data below the root, how its pictures are prepared, how
// many are used. The demo ships with the project; the others are looked for in the folder QUANTIZE_SHARED.
//
//     samples    compared with ONNX Runtime                    points     int8 top-1 may lie so far below fp32
//     calibrate  used to quantize, 0 = all                     ortPoints  top-1 may differ so far from the runtime's
//     job        options of the main job alone
//     calib      a folder, a recording, or labels: the files they name    ops, ratio, memory  further checks
//     inputs     in place of calib: data of each input, a path or a tensor
//     state      samples follow each other: an output goes back to an input
//     allFloat   nothing in it runs in integers
//     generate   in place of file (which must be there): the model by that name of tests/bench
//     margin     in place of 15 dB: random weights enlarge the one tie in 250,000 behind normalizations in float
'use strict';

const DEMO = {
    name: 'demo glyphs', file: 'glyphs.onnx', calib: 'calib', options: [],
    samples: 3, calibrate: 0, eval: 'eval', labels: 'eval_labels.txt', points: 1.0, ortPoints: 0.4,
};

const SENTENCES = 'data/text/sst2_dev_bert_ids.tsv';
const IMAGENET = ['--preset', 'imagenet'];
const CIFAR_MEAN = ['--mean', '0.4914,0.4822,0.4465', '--std', '0.2471,0.2435,0.2616'];

const SHARED = [
    {
        name: 'squeezenet1.1', file: 'models/classify/squeezenet1.1_imagenet.onnx', calib: 'data/imagenet/calib',
        options: IMAGENET, samples: 3, calibrate: 100, eval: 'data/imagenet/val',
        labels: 'data/imagenet/val_labels.txt', points: 1.0, ortPoints: 0.4,
        ops: { QLinearConv: 26, Conv: 0 }, ratio: 0.27, memory: true,
    },
    {
        name: 'mobilenetv2', file: 'models/classify/mobilenetv2_bn_unfolded_backbone.onnx',
        calib: 'data/imagenet/calib', options: IMAGENET, samples: 3, calibrate: 16,
    },
    {
        name: 'resnet8', file: 'models/classify/mlperftiny_resnet8_cifar10.onnx',
        calib: 'data/cifar10/calib_labels.txt', options: ['--preset', 'raw'],
        samples: 3, calibrate: 200, eval: 'data/cifar10',
        labels: 'data/cifar10/val_labels.txt', points: 1.0, ortPoints: 0.4,
    },
    {
        name: 'resnet_4b', file: 'models/classify/vnncomp_resnet_4b.onnx', calib: 'data/cifar10/calib_labels.txt',
        options: CIFAR_MEAN, samples: 3, calibrate: 200, eval: 'data/cifar10',
        labels: 'data/cifar10/val_labels.txt', points: 1.0, ortPoints: 0.4,
    },
    {
        name: 'mnist_cntk', file: 'models/classify/mnist_cntk.onnx', calib: 'data/cifar10/calib_labels.txt',
        options: ['--preset', 'mnist'], samples: 3, calibrate: 50, job: ['--placement', 'all'],
    },
    {
        name: 'emnist_cnn', file: 'models/classify/emnist_cnn.onnx', calib: 'data/cifar10/calib_labels.txt',
        options: ['--preset', 'unit', '--color', 'gray'], samples: 3, calibrate: 50,
    },
    {
        name: 'pfld_landmarks', file: 'models/detect/pfld_landmarks.onnx',
        calib: 'data/faces', options: ['--preset', 'unit'],
        samples: 3, calibrate: 10,
    },
    {
        name: 'ultraface_RFB_320', file: 'models/detect/ultraface_RFB_320.onnx', calib: 'data/faces',
        options: ['--color', 'rgb', '--scale', '1', '--mean', '127', '--std', '128'], samples: 3, calibrate: 10,
    },
    {
        name: 'retinaface_mnet25', file: 'models/detect/retinaface_mnet25_v1.onnx', calib: 'data/faces',
        options: ['--preset', 'raw', '--color', 'rgb', '--resize', 'pad', '--pad-value', '0'],
        samples: 3, calibrate: 10,
    },
    {
        name: 'scrfd_500m_kps', file: 'models/detect/scrfd_500m_kps.onnx', calib: 'data/faces',
        options: ['--color', 'rgb', '--scale', '1', '--mean', '127.5', '--std', '128', '--resize', 'pad',
            '--pad-value', '0'],
        samples: 2, calibrate: 8,
    },
    {
        // left float between 8-bit values, where the runtime would quantize it by itself
        name: 'scrfd_float_conv', file: 'models/detect/scrfd_500m_kps.onnx', calib: 'data/faces',
        options: ['--color', 'rgb', '--scale', '1', '--mean', '127.5', '--std', '128', '--resize', 'pad',
            '--pad-value', '0'],
        samples: 2, calibrate: 8, job: ['--exclude', 'Conv_6', '--effort', 'fast'],
    },
    {
        name: 'nanodet_m_320', file: 'models/detect/nanodet_m_320_coco.onnx', calib: 'data/coco',
        options: ['--color', 'bgr', '--scale', '1', '--mean', '103.53,116.28,123.675', '--std', '57.375,57.12,58.395'],
        samples: 3, calibrate: 16,
    },
    {
        name: 'yolov8n', file: 'models/detect/yolov8n_coco.onnx', calib: 'data/coco', options: ['--preset', 'yolo'],
        samples: 2, calibrate: 8,
    },
    {
        name: 'text bert_sst2', file: 'models/text/bert_sst2_ts.onnx', options: [], samples: 4, calibrate: 40,
        inputs: { input_ids: { tokens: SENTENCES, lines: 60, below: 30522 }, attention_mask: { tokens: SENTENCES, lines: 60, mask: true } },
    },
    {
        name: 'text generated transformer', file: SENTENCES, generate: 'text_transformer', options: [], samples: 4,
        calibrate: 40,
        inputs: { input_ids: { tokens: SENTENCES, lines: 60, below: 1000 },
            attention_mask: { tokens: SENTENCES, lines: 60, mask: true } },
    },
    {
        name: 'espcn_x3', file: 'models/vision/espcn_x3_core.onnx', calib: 'data/coco',
        options: ['--color', 'gray', '--preset', 'unit', '--size', '128x128'], samples: 2, calibrate: 8,
    },
];

module.exports = { DEMO, SHARED };
