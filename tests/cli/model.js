// model.js - writes small ONNX models that test `quantize simplify`: node model.js FOLDER
//
// A handful of protobuf fields by hand (numbers from onnx.proto), so that no library is needed: every model is a table row below.
'use strict';

const fs = require('fs');
const path = require('path');

const FLOAT = 1, INT8 = 3, BOOL = 9, FLOAT16 = 10;

// ---- protobuf: fields as Buffers -------------------------------------------------------------------------------------------

function varint(n) {
    const bytes = [];
    for (let x = BigInt.asUintN(64, BigInt(n)); ; x >>= 7n) {
        bytes.push(Number(x & 127n) | (x > 127n ? 128 : 0));
        if (x <= 127n)
            return Buffer.from(bytes);
    }
}

const int = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const bytes = (field, data) => Buffer.concat([varint(field << 3 | 2), varint(data.length), data]);
const text = (field, s) => bytes(field, Buffer.from(s));
const message = (field, ...parts) => bytes(field, Buffer.concat(parts.flat()));

// ---- ONNX ------------------------------------------------------------------------------------------------------------------

const dim = (d) => message(1, typeof d === 'number' ? int(1, d) : text(2, d));
const tensorType = (type, dims) => message(1, int(1, type), ...(dims === undefined ? [] : [message(2, dims.map(dim))]));
const info = (field, name, dims, type = FLOAT) => message(field, text(1, name), message(2, tensorType(type, dims)));
const input = (...a) => info(11, ...a), output = (...a) => info(12, ...a), valueInfo = (...a) => info(13, ...a);

function tensor(field, name, dims, values, type = FLOAT) {
    const raw = type === FLOAT ? Buffer.from(new Float32Array(values).buffer) : Buffer.from(values);
    return message(field, dims.map((d) => int(1, d)), int(2, type), text(8, name), bytes(9, raw));
}

const initializer = (...a) => tensor(5, ...a);
const node = (op, inputs, outputs, ...attrs) =>
    message(1, inputs.map((name) => text(1, name)), outputs.map((name) => text(2, name)), text(4, op), attrs);
const named = (name, op, inputs, outputs) =>
    message(1, inputs.map((n) => text(1, n)), outputs.map((n) => text(2, n)), text(3, name), text(4, op));
const branch = (name, ...parts) => message(5, text(1, name), message(6, text(2, name), ...parts), int(20, 5));
const model = (ir, ...graph) =>
    Buffer.concat([int(1, ir), message(7, text(2, 'g'), ...graph), message(8, text(1, ''), int(2, 13))]);

// ---- the models ------------------------------------------------------------------------------------------------------------

const x = input('x', ['N', 4]), y = output('y', ['N', 4]);

const models = {
    // Exp overflows for most inputs, the Softplus that it becomes does not: the proof must see it.
    overflow: model(8, x, y, initializer('k', [], [1000]), initializer('one', [], [1]),
        node('Mul', ['x', 'k'], ['a']), node('Exp', ['a'], ['b']), node('Add', ['b', 'one'], ['c']), node('Log', ['c'], ['y'])),
    declared_otherwise: model(8, x, output('y', ['N', 5]), node('Relu', ['x'], ['y'])),
    declared_type: model(8, x, output('y', ['N', 4], BOOL), node('Relu', ['x'], ['y'])),
    declared_batch: model(8, x, output('y', [1, 4]), valueInfo('a', [1, 4]), node('Relu', ['x'], ['a']), node('Neg', ['a'], ['y'])),
    lying_info: model(8, x, y, valueInfo('a', [2, 3, 4]), node('Relu', ['x'], ['a']), node('Neg', ['a'], ['y'])),
    info_of_nothing: model(8, x, y, valueInfo('nothing', [2, 3, 4]), node('Relu', ['x'], ['y'])),
    unread: model(8, x, y, initializer('u', [1024], new Array(1024).fill(3)), node('Relu', ['x'], ['y'])),
    no_nodes: model(8, x, output('x', ['N', 4])),
    output_is_initializer: model(8, x, y, output('w', [2]), initializer('w', [2], [1, 2]), node('Relu', ['x'], ['y'])),
    no_outputs: model(8, x, node('Relu', ['x'], ['y'])),
    output_twice: model(8, x, y, y, node('Relu', ['x'], ['y'])),
    computed_twice: model(8, x, y, node('Relu', ['x'], ['y']), node('Neg', ['x'], ['y'])),
    initializer_twice: model(8, x, y, initializer('w', [], [1]), initializer('w', [], [2]), node('Add', ['x', 'w'], ['y'])),
    // Inlined, a of the branch meets a of the graph around it.
    collide: model(8, x, y, initializer('yes', [], [1], BOOL), node('Tanh', ['x'], ['a']),
        node('If', ['yes'], ['b'],
            branch('then_branch', output('a2', ['N', 4]), node('Exp', ['a'], ['t']), node('Neg', ['t'], ['a2'])),
            branch('else_branch', output('a2', ['N', 4]), node('Neg', ['a'], ['t']), node('Exp', ['t'], ['a2']))),
        node('If', ['yes'], ['c'],
            branch('then_branch', output('a2', ['N', 4]), node('Abs', ['b'], ['t']), node('Neg', ['t'], ['a2'])),
            branch('else_branch', output('a2', ['N', 4]), node('Neg', ['a'], ['t']), node('Abs', ['t'], ['a2']))),
        node('Add', ['a', 'c'], ['y'])),
    half: model(8, input('x', ['N', 4], FLOAT16), output('y', ['N', 2], FLOAT16),
        initializer('w', [4, 2], new Array(16).fill(60), FLOAT16), node('MatMul', ['x', 'w'], ['y'])),
    // A Relu of codes: no float form is known.
    relu_of_codes: model(8, x, y, initializer('s', [], [0.01]), initializer('z', [], [3], INT8),
        node('QuantizeLinear', ['x', 's', 'z'], ['q']), named('relu', 'Relu', ['q'], ['r']), node('DequantizeLinear', ['r', 's', 'z'], ['y'])),
    // Up to IR 3 an initializer is listed as an input too.
    ir3: model(3, x, input('w', [4]), y, initializer('w', [4], [1, 2, 3, 4]), node('Mul', ['x', 'w'], ['a']),
        node('Identity', ['a'], ['y'])),
};

for (const [name, data] of Object.entries(models))
    fs.writeFileSync(path.join(process.argv[2], `${name}.onnx`), data);
