// op_cases.js - the operators that ops.js compares, a row a case: op, domain, opset, attributes, inputs, outputs (1 = wanted).
// Numbers are pseudo-random, the same on every run. null: an input left out.
'use strict';

let state = 20240601;

function random() {
    state = Number(BigInt(state) * 48271n % 2147483647n); // Lehmer
    return state / 2147483647;
}

const ARRAYS = {
    float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array,
};

function tensor(type, dims, make) {
    const n = dims.reduce((a, b) => a * b, 1);
    return { type, dims, data: ARRAYS[type].from({ length: n }, make) };
}

const f = (...dims) => tensor('float32', dims, () => 4 * random() - 2);
const positive = (...dims) => tensor('float32', dims, () => 0.01 + 0.02 * random());
const u8 = (...dims) => tensor('uint8', dims, () => Math.floor(256 * random()));
const s8 = (...dims) => tensor('int8', dims, () => Math.floor(255 * random()) - 127);
const below = (limit, ...dims) => tensor('int32', dims, () => Math.floor(limit * random()));
const number = (type, value) => tensor(type, [], () => value);
const scale = (value) => number('float32', value);
const list = (type, values) => ({
    type, dims: [values.length], data: ARRAYS[type].from(values, type === 'int64' ? BigInt : Number),
});
const matrix = (type, rows) => ({ type, dims: [rows.length, rows[0].length], data: ARRAYS[type].from(rows.flat()) });
const constant = (value) => ({ ...value, constant: true });
const filled = (type, value, ...dims) => tensor(type, dims, () => value);

const CASES = [];
const add = (domain, opset) => (op, attrs, inputs, outputs = [1]) =>
    CASES.push({ op, domain, opset, attrs, inputs, outputs });
const ms = add('com.microsoft', 17);

/* ---- com.microsoft: transformers ---- */

const x = f(2, 5, 8), w = f(8, 24), b = f(24), q = f(2, 5, 8), k = f(2, 7, 8), v = f(2, 7, 12);
const padding = matrix('int32', [[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]]);
ms('Attention', { num_heads: 2 }, [x, w, b]);
ms('Attention', { num_heads: 2, unidirectional: 1 }, [x, w, b]);
ms('Attention', { num_heads: 2 }, [x, w, b, list('int32', [3, 5])]);
ms('Attention', { num_heads: 2 }, [x, w, b, list('int32', [4, 5, 1, 0])]);
ms('Attention', { num_heads: 2, scale: 0.3 }, [x, w, b, padding]);
ms('Attention', { num_heads: 2 }, [x, w, b, null, f(2, 2, 2, 3, 4)], [1, 1]);
ms('Attention', { num_heads: 2 }, [x, w, b, null, null, f(1, 2, 5, 5)]);
ms('Attention', { num_heads: 2, qkv_hidden_sizes: [8, 8, 12] }, [x, f(8, 28), f(28)]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, k, v]);
ms('MultiHeadAttention', { num_heads: 2, scale: 0.2 }, [q, k, v, f(28)]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, k, v, null, matrix('int32', [[1, 1, 0, 1, 0, 1, 1], [1, 0, 1, 1, 1, 1, 1]])]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, k, v, null, list('int32', [3, 7])]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, k, v, null, null, f(1, 1, 5, 7)]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, f(2, 5, 8), f(2, 5, 8), null, null, null, f(2, 2, 3, 4), f(2, 2, 3, 4)],
    [1, 1, 1]);
ms('MultiHeadAttention', { num_heads: 2, unidirectional: 1 }, [q, f(2, 5, 8), f(2, 5, 8)], [1, 1, 1]);
ms('MultiHeadAttention', { num_heads: 2 }, [q, f(2, 2, 7, 4), f(2, 2, 7, 4)]);
ms('EmbedLayerNormalization', { epsilon: 1e-5 }, [below(9, 2, 5), below(2, 2, 5), f(9, 8), f(7, 8), f(2, 8), f(8), f(8),
    padding], [1, 1]);
ms('EmbedLayerNormalization', { epsilon: 1e-5 }, [below(9, 2, 5), null, f(9, 8), f(7, 8), null, f(8), f(8), null,
    below(7, 2, 5)], [1, 1, 1]);
ms('SkipLayerNormalization', { epsilon: 1e-5 }, [f(2, 3, 8), f(2, 3, 8), f(8), f(8), f(8)], [1, 0, 0, 1]);
ms('SkipSimplifiedLayerNormalization', { epsilon: 1e-5 }, [f(2, 3, 8), f(2, 3, 8), f(8), f(8)], [1, 0, 0, 1]);
for (const op of ['Gelu', 'QuickGelu'])
    ms(op, {}, [f(5, 6)]);
for (const op of ['BiasGelu', 'FastGelu'])
    ms(op, {}, [f(5, 6), f(6)]);
ms('FusedMatMul', { transA: 1, transB: 1, alpha: 0.5 }, [f(2, 8, 3), f(2, 4, 8)]);
ms('FusedConv', { activation: 'LeakyRelu', activation_params: [0.1], pads: [1, 1, 1, 1] },
    [f(1, 3, 5, 5), f(4, 3, 3, 3), f(4)]);
ms('FusedConv', { activation: 'Relu' }, [f(1, 3, 5, 5), f(4, 3, 3, 3), f(4), f(1, 4, 3, 3)]);

/* ---- com.microsoft: 8 bits and less ---- */

const from8 = [scale(0.1), number('uint8', 120)], to8 = [scale(0.3), number('uint8', 99)];
ms('QLinearAdd', {}, [u8(3, 4), ...from8, u8(1, 4), scale(0.2), number('uint8', 3), ...to8]);
ms('QLinearMul', {}, [u8(3, 4), ...from8, u8(1, 4), scale(0.2), number('uint8', 3), scale(30), number('uint8', 99)]);
ms('QLinearGlobalAveragePool', {}, [u8(1, 3, 4, 5), ...from8, scale(0.05), number('uint8', 99)]);
ms('QLinearAveragePool', { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    [u8(1, 3, 6, 5), ...from8, scale(0.05), number('uint8', 99)]);
ms('QLinearConcat', { axis: 1 }, [...to8, u8(2, 3), ...from8, u8(2, 4), scale(0.2), number('uint8', 20)]);
ms('QLinearSigmoid', {}, [u8(40), scale(0.05), number('uint8', 120), scale(1 / 256), number('uint8', 0)]);
ms('QLinearLeakyRelu', { alpha: 0.1 }, [u8(40), scale(0.05), number('uint8', 120), scale(0.05), number('uint8', 100)]);
ms('QLinearSoftmax', { axis: -1, opset: 13 }, [u8(4, 10), scale(0.05), number('uint8', 120), scale(1 / 256), number('uint8', 0)]);
ms('QGemm', { transB: 1 }, [u8(3, 8), scale(0.05), number('uint8', 120), s8(4, 8), scale(0.02), number('int8', 0),
    below(99, 4), scale(0.5), number('uint8', 100)]);
ms('DynamicQuantizeMatMul', {}, [f(3, 8), s8(8, 4), scale(0.02), number('int8', 3), f(4)]);
ms('MatMulIntegerToFloat', {}, [u8(3, 8), s8(8, 4), scale(0.03), positive(4), number('uint8', 100), filled('int8', 0, 4), f(4)]);
ms('MatMulNBits', { K: 32, N: 4, bits: 4, block_size: 16 }, [f(3, 32), u8(4, 2, 8), positive(8)]);
ms('MatMulNBits', { K: 40, N: 4, bits: 4, block_size: 32 }, [f(3, 40), u8(4, 2, 16), positive(8), u8(4)]);
for (const [direction, n] of [['forward', 1], ['reverse', 1], ['bidirectional', 2]]) {
    ms('DynamicQuantizeLSTM', { hidden_size: 4, direction }, [f(5, 2, 6), constant(u8(n, 6, 16)), constant(u8(n, 4, 16)),
        f(n, 32), null, f(n, 2, 4), f(n, 2, 4), f(n, 12), constant(filled('float32', 0.01, n)),
        constant(filled('uint8', 128, n)), constant(filled('float32', 0.008, n)), constant(filled('uint8', 120, n))],
    [1, 1, 1]);
    ms('DynamicQuantizeLSTM', { hidden_size: 4, direction }, [f(5, 2, 6), constant(s8(n, 6, 16)), constant(s8(n, 4, 16)),
        null, null, null, null, null, constant(positive(n, 16)), constant(filled('int8', 0, n, 16)),
        constant(positive(n, 16)), constant(filled('int8', 0, n, 16))], [1, 1, 1]);
}

/* ---- ai.onnx of opset 18 and later ---- */

const add18 = add('', 18), add20 = add('', 20), add21 = add('', 21), add22 = add('', 22), add23 = add('', 23);
const add24 = add('', 24);
for (const axis of [-1, 1, 0])
    add23('RMSNormalization', { axis, epsilon: 0.1 }, [f(2, 3, 4), f(...[2, 3, 4].slice(axis))]);
for (const interleaved of [0, 1])
    for (const dim of [8, 4])
        add23('RotaryEmbedding', { interleaved, rotary_embedding_dim: dim }, [f(2, 4, 3, 8), f(50, dim / 2), f(50, dim / 2),
            list('int64', [0, 7, 49, 3, 2, 1])].map((t) => (t.type === 'int64' ? { ...t, dims: [2, 3] } : t)));
for (const attrs of [{}, { is_causal: 1 }, { softcap: 2.5 }, { scale: 0.1 }, { qk_matmul_output_mode: 3 }])
    add24('Attention', attrs, [f(2, 6, 4, 8), f(2, 3, 5, 8), f(2, 3, 5, 10), f(4, 5)], [1, 0, 0, 1]);
add24('Swish', { alpha: 1.5 }, [f(3, 4)]);
add24('TensorScatter', { mode: 'circular' }, [f(2, 1, 4, 5), f(2, 1, 2, 5), list('int64', [1, 3])]);
for (const approximate of ['none', 'tanh'])
    add20('Gelu', { approximate }, [f(3, 4)]);
for (const mode of ['linear', 'nearest', 'cubic'])
    for (const padding_mode of ['zeros', 'border', 'reflection'])
        add20('GridSample', { mode, padding_mode }, [f(1, 2, 4, 5), f(1, 6, 6, 2)]);
add20('GridSample', { align_corners: 1 }, [f(1, 2, 3, 4, 5), f(1, 2, 3, 4, 3)]);
add20('AffineGrid', {}, [f(2, 3, 4), list('int64', [2, 3, 4, 5, 6])]);
add20('AffineGrid', { align_corners: 1 }, [f(2, 2, 3), list('int64', [2, 3, 5, 6])]);
for (const antialias of [0, 1])
    for (const mode of ['linear', 'cubic'])
        add('', 19)('Resize', { antialias, mode, axes: [2, 3], keep_aspect_ratio_policy: 'not_larger' },
            [f(1, 2, 6, 8), null, null, list('int64', [3, 5])]);
add('', 19)('Resize', { mode: 'nearest', coordinate_transformation_mode: 'half_pixel_symmetric' },
    [f(1, 1, 4, 4), null, list('float32', [1, 1, 1.3, 0.6])]);
for (const mode of ['constant', 'edge', 'reflect', 'wrap'])
    add('', 19)('Pad', { mode }, [f(1, 3, 4, 5), list('int64', [1, 2, 0, 1]), null, list('int64', [2, 3])]);
for (const op of ['ReduceL1', 'ReduceL2', 'ReduceLogSumExp', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceProd',
    'ReduceSumSquare'])
    for (const attrs of [{}, { keepdims: 0 }, { noop_with_empty_axes: 1 }])
        add18(op, attrs, [f(2, 3, 4), list('int64', attrs.noop_with_empty_axes ? [] : [-1, 0])]);
add18('Col2Im', { dilations: [1, 2], pads: [0, 1, 0, 1] }, [f(1, 8, 25), list('int64', [6, 5]), list('int64', [2, 2])]);
add18('CenterCropPad', { axes: [-3, -2] }, [f(20, 8, 3), list('int64', [10, 9])]);
add18('Split', { num_outputs: 3 }, [f(7, 2)], [1, 1, 1]);
for (const reduction of ['add', 'mul', 'max', 'min'])
    add18('ScatterElements', { reduction, axis: 1 }, [f(1, 5), { ...list('int64', [1, 1]), dims: [1, 2] }, f(1, 2)]);
add22('DeformConv', { kernel_shape: [3, 3], pads: [1, 1, 1, 1], group: 2, offset_group: 2 },
    [f(1, 4, 5, 5), f(6, 2, 3, 3), f(1, 36, 5, 5), f(6), positive(1, 18, 5, 5)]);
for (const ceil_mode of [0, 1])
    for (const count_include_pad of [0, 1])
        add22('AveragePool', { kernel_shape: [3, 3], strides: [2, 3], dilations: [2, 1], pads: [1, 1, 2, 1], ceil_mode,
            count_include_pad }, [f(1, 2, 9, 8)]);
for (const [type, make] of [['uint8', u8], ['int8', s8]]) {
    add21('QuantizeLinear', { axis: 1, block_size: 2 }, [f(3, 4), positive(3, 2), make(3, 2)]);
    add21('DequantizeLinear', { axis: 1, block_size: 2 }, [make(3, 4), positive(3, 2), make(3, 2)]);
    add21('QLinearMatMul', {}, [make(2, 2, 4), scale(0.0066), number(type, 13), make(2, 4, 3), scale(0.00705),
        number(type, 14), scale(0.0107), number(type, 18)]);
}

module.exports = { CASES };
