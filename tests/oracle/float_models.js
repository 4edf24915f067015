// float_models.js - the float models that floats.js runs: file below models/, sizes of dynamic axes (two sets where there are
// any; an axis without a name is called INPUT.NUMBER), and what the inputs hold: floats in `range` (else -1 to 1), whole
// numbers from 0 `below` a limit (else 2), `fixed` numbers by name of the input.
// opsets: those it is raised to where not all of them.
'use strict';

const FLOATS = [
    { file: 'audio/basic_pitch_nmp.onnx', sizes: [{ unk__749: 1 }, { unk__749: 3 }] },
    { file: 'audio/dnsmos_sig_bak_ovr.onnx', sizes: [{ N: 1 }, { N: 2 }] },
    { file: 'audio/dtln_1.onnx' },
    { file: 'audio/dtln_2.onnx' },
    { file: 'audio/gtcrn_stream.onnx' },
    { file: 'audio/kws_cnn_bn.onnx', sizes: [{ batch: 1 }, { batch: 3 }] },
    { file: 'audio/kws_lstm.onnx', sizes: [{ batch: 1 }, { batch: 3 }] },
    { file: 'audio/mlperftiny_kws_dscnn.onnx', sizes: [{ N: 1 }, { N: 3 }] },
    { file: 'audio/openwakeword_embedding_model.onnx', sizes: [{ unk__314: 1 }, { unk__314: 3 }] },
    {
        file: 'audio/openwakeword_melspectrogram.onnx',
        sizes: [{ batch_size: 1, samples: 16000 }, { batch_size: 2, samples: 12345 }],
    },
    {
        file: 'audio/silero_vad_v5.onnx',
        sizes: [{ 'input.0': 1, 'input.1': 512, 'state.1': 1 }, { 'input.0': 3, 'input.1': 512, 'state.1': 3 }],
        fixed: { sr: 16000 },
    },
    {
        file: 'audio/silero_vad_v6_op18_ifless.onnx',
        sizes: [{ batch: 1, sequence: 576 }, { batch: 3, sequence: 576 }],
        fixed: { sr: 16000 },
    },
    { file: 'classify/emnist_cnn.onnx', sizes: [{ unk__213: 1 }, { unk__213: 3 }] },
    { file: 'classify/face_antispoof_minifasnet.onnx', sizes: [{ batch_size: 1 }, { batch_size: 3 }] },
    { file: 'classify/fsanet_headpose_var.onnx' },
    { file: 'classify/magika_standard_v2_1.onnx', sizes: [{ unk__132: 1 }, { unk__132: 2 }], below: 257 },
    { file: 'classify/mbv2_cifar_bn.onnx', sizes: [{ batch: 1 }, { batch: 3 }] },
    { file: 'classify/mlperftiny_resnet8_cifar10.onnx', sizes: [{ N: 1 }, { N: 3 }], range: [0, 255] },
    { file: 'classify/mnist_cntk.onnx' },
    { file: 'classify/mobilenetv2_bn_unfolded_backbone.onnx', sizes: [{ N: 1 }, { N: 2 }] },
    { file: 'classify/squeezenet1.1_imagenet.onnx', sizes: [{ N: 1 }, { N: 2 }] },
    { file: 'classify/vnncomp_collins_rul_full_40.onnx', sizes: [{ BatchSize: 1 }, { BatchSize: 3 }] },
    { file: 'classify/vnncomp_resnet_4b.onnx' },
    { file: 'detect/nanodet_m_320_coco.onnx' },
    { file: 'detect/pfld_landmarks.onnx', sizes: [{ batch_size: 1 }, { batch_size: 3 }] },
    { file: 'detect/retinaface_mnet25_v1.onnx', range: [0, 255] },
    { file: 'detect/scrfd_500m_kps.onnx' },
    { file: 'detect/ultraface_RFB_320.onnx' },
    { file: 'detect/yolov8n_coco.onnx', range: [0, 1] },
    { file: 'text/bert_sst2_ts.onnx', sizes: [{ batch: 1, seq: 9 }, { batch: 2, seq: 23 }] },
    { file: 'text/nnsplit_en_lstm.onnx', sizes: [{ batch: 1, length: 24 }, { batch: 2, length: 40 }], below: 256 },
    { file: 'text/vnncomp_vit_ibp_3_3_8.onnx', sizes: [{ batch_size: 1 }, { batch_size: 3 }] },
    {
        file: 'vision/ch_PP-OCRv4_det_infer.onnx',
        sizes: [{ 'p2o.DynamicDimension.0': 1, 'p2o.DynamicDimension.1': 64, 'p2o.DynamicDimension.2': 96 },
            { 'p2o.DynamicDimension.0': 1, 'p2o.DynamicDimension.1': 128, 'p2o.DynamicDimension.2': 64 }],
    },
    {
        file: 'vision/en_PP-OCRv4_rec_infer.onnx',
        sizes: [{ 'p2o.DynamicDimension.0': 1, '?': 48, 'p2o.DynamicDimension.1': 160 },
            { 'p2o.DynamicDimension.0': 2, '?': 48, 'p2o.DynamicDimension.1': 96 }],
    },
    {
        file: 'vision/espcn_x3_core.onnx',
        sizes: [{ batch: 1, h: 32, w: 48 }, { batch: 2, h: 21, w: 17 }],
        range: [0, 1],
    },
    { file: 'vision/vnncomp_carvana_unet_simp_small.onnx' },
    { file: 'architectures/deeplabv3_small_keepbn.onnx.gz' },
    { file: 'architectures/efficientnet_b0.onnx.gz', sizes: [{ batch: 1 }, { batch: 2 }] },
    {
        file: 'architectures/fasterrcnn_mobilenet_v3_large_320_fpn.onnx.gz',
        sizes: [{ height: 120, width: 160 }, { height: 97, width: 203 }],
        range: [0, 1],
        opsets: [13, 21], // the runtime knows RoiAlign up to opset 21
    },
    {
        file: 'architectures/lraspp_mobilenet_v3_large.onnx.gz',
        sizes: [{ batch: 1, h: 96, w: 128 }, { batch: 2, h: 65, w: 97 }],
    },
    { file: 'architectures/lstm_tagger.onnx.gz', sizes: [{ batch: 1, time: 7 }, { batch: 3, time: 30 }] },
    {
        file: 'architectures/mel_conv_classifier.onnx.gz',
        sizes: [{ batch: 1, samples: 16000 }, { batch: 2, samples: 9000 }],
    },
    { file: 'architectures/mel_stft_classifier.onnx.gz', sizes: [{ batch: 1 }, { batch: 2 }] },
    { file: 'architectures/mobilenet_v3_small.onnx.gz' },
    {
        file: 'architectures/rawaudio_conv1d.onnx.gz',
        sizes: [{ batch: 1, samples: 16000 }, { batch: 2, samples: 8000 }],
    },
    { file: 'architectures/roberta_cls.onnx.gz', sizes: [{ batch: 1, seq: 9 }, { batch: 2, seq: 23 }], below: 1000 },
    {
        file: 'architectures/superres_x4.onnx.gz',
        sizes: [{ batch: 1, h: 12, w: 16 }, { batch: 2, h: 9, w: 7 }],
        range: [0, 1],
    },
    { file: 'architectures/vit_small_4l.onnx.gz', sizes: [{ batch: 1 }, { batch: 2 }] },
];

for (const row of FLOATS)
    row.name = row.file.replace(/.*\//, '').replace(/\.onnx(\.gz)?$/, '');

module.exports = { FLOATS };
