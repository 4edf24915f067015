// rows.js - what `make bench` measures: generated models (generate.c) and those of the folder QUANTIZE_SHARED, when it is there.
//
//     dims    sizes of inputs that leave some open; others: 1 for an open first axis
//     fill    how an input is filled: normal (floats), ones, ids below a bound; default by type and name
//     int8    false: there is nothing to run in integers, or it cannot be quantized
'use strict';

const text = (batch, length) => ({ dims: { input_ids: [batch, length], attention_mask: [batch, length] } });

const GENERATED = [
    { name: 'resnet18' },
    { name: 'resnet50' },
    { name: 'mobilenetv2' },
    { name: 'efficientnet_b0' },
    { name: 'squeezenet1_1' },
    { name: 'vit_small_16' },
    ...[[1, 32], [1, 128], [8, 32], [8, 128], [32, 32], [32, 128]].map(([batch, length]) => (
        { name: `bert_base ${batch}x${length}`, file: 'bert_base', ...text(batch, length), long: batch > 1 })),
    { name: 'text_transformer 1x32', file: 'text_transformer', ...text(1, 32) },
    { name: 'text_transformer 8x32', file: 'text_transformer', ...text(8, 32) },
];

const shared = (name, file, more) => ({ name, shared: `models/${file}`, ...more });
const SHARED = [
    shared('squeezenet1.1', 'classify/squeezenet1.1_imagenet.onnx'),
    shared('mobilenetv2_bn', 'classify/mobilenetv2_bn_unfolded_backbone.onnx', { dims: { '*': [1, 3, 224, 224] } }),
    shared('mbv2_cifar_bn', 'classify/mbv2_cifar_bn.onnx', { dims: { '*': [1, 3, 32, 32] } }),
    shared('resnet8', 'classify/mlperftiny_resnet8_cifar10.onnx'),
    shared('yolov8n', 'detect/yolov8n_coco.onnx', { long: true }),
    shared('nanodet_m_320', 'detect/nanodet_m_320_coco.onnx'),
    shared('retinaface_mnet25', 'detect/retinaface_mnet25_v1.onnx'),
    shared('scrfd_500m', 'detect/scrfd_500m_kps.onnx'),
    shared('ultraface_RFB_320', 'detect/ultraface_RFB_320.onnx'),
    shared('pfld_landmarks', 'detect/pfld_landmarks.onnx'),
    shared('PP-OCRv4 det', 'vision/ch_PP-OCRv4_det_infer.onnx', { dims: { x: [1, 3, 320, 320] } }),
    shared('PP-OCRv4 rec', 'vision/en_PP-OCRv4_rec_infer.onnx', { dims: { x: [1, 3, 48, 320] } }),
    shared('espcn_x3', 'vision/espcn_x3_core.onnx', { dims: { input: [1, 1, 224, 224] } }),
    shared('unet_small', 'vision/vnncomp_carvana_unet_simp_small.onnx'),
    shared('superres_x4', 'architectures/superres_x4.onnx.gz', { dims: { lr: [1, 3, 64, 64] } }),
    shared('mobilenet_v3_small', 'architectures/mobilenet_v3_small.onnx.gz'),
    shared('lraspp_mobilenet_v3', 'architectures/lraspp_mobilenet_v3_large.onnx.gz', { dims: { input: [1, 3, 224, 224] } }),
    shared('vit_small_4l', 'architectures/vit_small_4l.onnx.gz', { dims: { pixel_values: [1, 3, 224, 224] } }),
    shared('bert_sst2 1x32', 'text/bert_sst2_ts.onnx', text(1, 32)),
    shared('roberta_cls 1x32', 'architectures/roberta_cls.onnx.gz', text(1, 32)),
    shared('nnsplit_lstm', 'text/nnsplit_en_lstm.onnx', { dims: { input: [1, 200] } }),
    shared('kws_cnn_bn', 'audio/kws_cnn_bn.onnx', { dims: { '*': [1, 1, 64, 101] } }),
    shared('kws_lstm', 'audio/kws_lstm.onnx', { dims: { '*': [1, 1, 64, 101] } }),
    shared('silero_vad_v6', 'audio/silero_vad_v6_op18_ifless.onnx', { dims: { input: [1, 576], state: [2, 1, 128] } }),
    shared('basic_pitch', 'audio/basic_pitch_nmp.onnx', { dims: { '*': [1, 43844, 1] } }),
    shared('rawaudio_conv1d', 'architectures/rawaudio_conv1d.onnx.gz', { dims: { audio: [1, 16000] } }),
    shared('lstm_tagger', 'architectures/lstm_tagger.onnx.gz', { dims: { features: [1, 100, 40] } }),
];

module.exports = { GENERATED, SHARED };
