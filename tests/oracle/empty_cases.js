// empty_cases.js - operators on tensors without elements and on scalars, for ops.js: rows as those of op_cases.js.
'use strict';

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int64: BigInt64Array, bool: Uint8Array };

const of = (type, dims, value) => ({ type, dims, data: ARRAYS[type].from({ length: dims.reduce((a, b) => a * b, 1) },
    (_, i) => (typeof value === 'function' ? value(i) : value)) });
const f = (...dims) => of('float32', dims, (i) => (i % 7) / 3 - 1);
const bool = (...dims) => of('bool', dims, (i) => i % 2);
const ints = (values, ...dims) => ({ type: 'int64', dims: dims.length > 0 ? dims : [values.length],
    data: BigInt64Array.from(values, BigInt) });
const none = (...dims) => ints([], ...dims);

const CASES = [];
const add = (op, attrs, inputs, outputs = [1]) => CASES.push({ op, domain: '', opset: 17, attrs, inputs, outputs });

/* ---- elementwise ---- */

for (const op of ['Relu', 'Sigmoid', 'Tanh', 'Exp', 'Neg', 'Abs', 'Erf', 'Floor', 'LeakyRelu', 'Softplus', 'Identity', 'Sqrt'])
    for (const dims of [[0], [2, 0, 3], []])
        add(op, {}, [f(...dims)]);
for (const op of ['Add', 'Mul', 'Sub', 'Div', 'Max', 'Min', 'Pow', 'Less', 'Equal', 'PRelu'])
    for (const [a, b] of [[[0], [1]], [[2, 0], [1, 1]], [[2, 0, 3], [3]], [[], []], [[2], []]])
        add(op, {}, [f(...a), f(...b)]);
add('Where', {}, [bool(0, 1), f(1, 3), f(3)]);
add('Where', {}, [bool(), f(), f(2)]);
add('Not', {}, [bool(0, 2)]);
add('Clip', {}, [f(0, 2), f(), null]);
add('Cast', { to: 7 }, [f(3, 0)]);
add('Sum', {}, [f(0, 3), f(3), f(1, 1)]);

/* ---- reductions: over no element, and of none ---- */

for (const op of ['ReduceSum', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare']) {
    const axes = (list) => (op === 'ReduceSum' ? [{}, [ints(list)]] : [{ axes: list }, []]);
    for (const [dims, list] of [[[2, 0, 3], [1]], [[2, 0, 3], [0]], [[0], [0]], [[0, 4], [0, 1]]]) {
        const [attrs, more] = axes(list);
        add(op, { ...attrs, keepdims: 0 }, [f(...dims), ...more]);
        add(op, attrs, [f(...dims), ...more]);
    }
}
for (const op of ['ReduceMax', 'ReduceMin', 'ReduceMean', 'ArgMax'])
    add(op, op === 'ArgMax' ? { axis: 1 } : { axes: [1] }, [f(0, 3)]);
for (const op of ['Softmax', 'LogSoftmax', 'Hardmax'])
    for (const [dims, axis] of [[[0, 3], -1], [[2, 0], 1], [[2, 0, 3], 2]])
        add(op, { axis }, [f(...dims)]);
add('CumSum', {}, [f(2, 0), ints([1], 1)]);

/* ---- moves ---- */

add('Reshape', {}, [f(3, 0), ints([5, 0])]);
add('Reshape', { allowzero: 1 }, [f(0, 3), ints([5, 0])]);
add('Reshape', {}, [f(1), none(0)]);
add('Transpose', { perm: [1, 2, 0] }, [f(2, 0, 3)]);
add('Transpose', {}, [f()]);
add('Flatten', {}, [f(2, 0, 3)]);
add('Flatten', { axis: 0 }, [f()]);
add('Squeeze', {}, [f(1, 0), ints([0])]);
add('Unsqueeze', {}, [f(), ints([0, 1])]);
add('Expand', {}, [f(1, 3), ints([0, 3])]);
add('Expand', {}, [f(), ints([2, 0])]);
add('Tile', {}, [f(2, 3), ints([0, 2])]);
add('Tile', {}, [f(0, 3), ints([4, 2])]);
add('Concat', { axis: 1 }, [f(2, 0), f(2, 3), f(2, 0)]);
add('Concat', { axis: 0 }, [f(0, 3), f(0, 3)]);
add('Split', { axis: 0 }, [f(3, 2), ints([0, 3])], [1, 1]);
add('Split', { axis: 1 }, [f(0, 4)], [1, 1]);
add('Slice', {}, [f(4, 3), ints([2]), ints([2])]);
add('Slice', {}, [f(0, 3), ints([0]), ints([5])]);
add('Pad', {}, [f(0, 2), ints([1, 0, 2, 1])]);
add('Gather', {}, [f(3, 2), none(0)]);
add('Gather', { axis: 1 }, [f(0, 3), ints([2, 0])]);
add('Gather', {}, [f(3), { ...ints([1]), dims: [] }]);
add('GatherElements', {}, [f(3, 2), none(0, 2)]);
add('GatherND', {}, [f(3, 2), none(0, 1)]);
add('ScatterElements', {}, [f(3, 2), none(0, 2), f(0, 2)]);
add('ScatterND', {}, [f(3, 2), none(0, 1), f(0, 2)]);
add('Compress', { axis: 0 }, [f(3, 2), of('bool', [3], 0)]);
add('NonZero', {}, [f(0, 3)]);
add('NonZero', {}, [of('float32', [2, 3], 0)]);
add('Range', {}, [{ ...ints([5]), dims: [] }, { ...ints([5]), dims: [] }, { ...ints([1]), dims: [] }]);
add('ConstantOfShape', {}, [ints([2, 0])]);
add('ConstantOfShape', {}, [none(0)]);
add('Shape', {}, [f(2, 0)]);
add('Shape', {}, [f()]);
add('Size', {}, [f(2, 0)]);
// not TopK: the runtime divides by zero
add('OneHot', {}, [none(0), { ...ints([3]), dims: [] }, f(2)]);
add('Trilu', {}, [f(0, 3)]);
add('DepthToSpace', { blocksize: 2 }, [f(0, 4, 2, 2)]);
add('NonMaxSuppression', {}, [f(1, 0, 4), f(1, 1, 0), { ...ints([3]), dims: [1] }]);

/* ---- products, convolutions, normalizations of an empty batch ---- */

add('MatMul', {}, [f(0, 3), f(3, 2)]);
add('MatMul', {}, [f(2, 0), f(0, 3)]);
add('MatMul', {}, [f(2, 0, 3, 4), f(4, 2)]);
add('MatMul', {}, [f(3), f(3)]);
add('Gemm', {}, [f(0, 3), f(3, 2), f(2)]);
add('Gemm', {}, [f(2, 0), f(0, 3), f(3)]);
add('Einsum', { equation: 'ij,jk->ik' }, [f(0, 3), f(3, 2)]);
add('Conv', {}, [f(0, 2, 5, 5), f(3, 2, 3, 3)]);
add('ConvTranspose', {}, [f(0, 2, 3, 3), f(2, 3, 3, 3)]);
add('MaxPool', { kernel_shape: [2, 2] }, [f(0, 2, 4, 4)]);
add('AveragePool', { kernel_shape: [2, 2] }, [f(0, 2, 4, 4)]);
add('GlobalAveragePool', {}, [f(0, 2, 4, 4)]);
add('BatchNormalization', {}, [f(0, 2, 3), f(2), f(2), f(2), of('float32', [2], 1)]);
add('LayerNormalization', {}, [f(0, 3), f(3), f(3)]);
add('InstanceNormalization', {}, [f(0, 2, 3), f(2), f(2)]);
add('QuantizeLinear', {}, [f(0, 3), of('float32', [], 0.5), of('uint8', [], 3)]);
add('DequantizeLinear', {}, [of('uint8', [0, 3], 0), of('float32', [], 0.5), of('uint8', [], 3)]);

module.exports = { CASES };
