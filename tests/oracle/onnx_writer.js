// onnx_writer.js - a model of one node as bytes: just enough of the protobuf wire format for ops.js.
//
//     writeModel({ op, domain, opset, attrs, inputs: [{ name, type, dims, data, constant }], outputs: ['y'] }) -> Buffer
'use strict';

const TYPES = {
    float32: 1, uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, int64: 7, bool: 9, float64: 11, uint32: 12, uint64: 13,
};
const VARINT = 0, BYTES = 2, FIXED32 = 5;

function varint(number) {
    const bytes = [];
    let rest = BigInt.asUintN(64, BigInt(number));
    do {
        bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
        rest >>= 7n;
    } while (rest > 0n);
    return Buffer.from(bytes);
}

const key = (field, wire) => varint(field * 8 + wire);
const number = (field, value) => Buffer.concat([key(field, VARINT), varint(value)]);

function bytes(field, value) {
    const body = typeof value === 'string' ? Buffer.from(value) : Buffer.concat([value].flat());
    return Buffer.concat([key(field, BYTES), varint(body.length), body]);
}

function float(field, value) {
    const body = Buffer.alloc(4);
    body.writeFloatLE(value);
    return Buffer.concat([key(field, FIXED32), body]);
}

// Whole numbers are ints; a float with no fraction is written { f: 1 }.
function attribute(name, value) {
    const head = bytes(1, name), kind = (type) => number(20, type);
    if (typeof value === 'string')
        return [head, bytes(4, value), kind(3)];
    if (Array.isArray(value))
        return Number.isInteger(value[0]) ? [head, ...value.map((v) => number(8, v)), kind(7)]
            : [head, ...value.map((v) => float(7, v)), kind(6)];
    if (typeof value === 'object')
        return [head, float(2, value.f), kind(1)];
    return Number.isInteger(value) ? [head, number(3, value), kind(2)] : [head, float(2, value), kind(1)];
}

function valueInfo({ name, type, dims }) {
    const shape = dims.map((dim) => bytes(1, number(1, dim)));
    return [bytes(1, name), bytes(2, bytes(1, [number(1, TYPES[type]), bytes(2, shape)]))];
}

function initializer({ name, type, dims, data }) {
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    return [...dims.map((dim) => number(1, dim)), number(2, TYPES[type]), bytes(8, name), bytes(9, raw)];
}

function writeModel({ op, domain, opset, attrs, inputs, outputs }) {
    const node = [
        ...inputs.map((input) => bytes(1, input === null ? '' : input.name)),
        ...outputs.map((name) => bytes(2, name)),
        bytes(4, op),
        ...Object.entries(attrs).map(([name, value]) => bytes(5, attribute(name, value))),
        bytes(7, domain),
    ];
    const given = inputs.filter((input) => input !== null);
    const graph = [
        bytes(1, node),
        bytes(2, 'graph'),
        ...given.filter((input) => input.constant).map((input) => bytes(5, initializer(input))),
        ...given.filter((input) => !input.constant).map((input) => bytes(11, valueInfo(input))),
        ...outputs.filter((name) => name !== '').map((name) => bytes(12, bytes(1, name))),
    ];
    const imports = [['', opset], ['com.microsoft', 1], ['ai.onnx.ml', 3]];
    return Buffer.concat([
        number(1, 10),
        bytes(7, graph),
        ...imports.map(([name, version]) => bytes(8, [bytes(1, name), number(2, version)])),
    ]);
}

module.exports = { writeModel };
