// npy.js - NumPy's array files: {type, dims, data}, type as ONNX Runtime calls it. C order, little-endian.
'use strict';

const fs = require('fs');

const TYPES = {
    '<f4': ['float32', Float32Array],
    '<f8': ['float64', Float64Array],
    '|u1': ['uint8', Uint8Array],
    '|i1': ['int8', Int8Array],
    '|b1': ['bool', Uint8Array],
    '<i4': ['int32', Int32Array],
    '<u4': ['uint32', Uint32Array],
    '<i8': ['int64', BigInt64Array],
    '<u8': ['uint64', BigUint64Array],
};

function read(file) {
    const bytes = fs.readFileSync(file);
    if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY')
        throw new Error(`${file}: not an .npy file`);
    const long = bytes[6] > 1;
    const start = long ? 12 : 10;
    const length = long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
    const header = bytes.toString('latin1', start, start + length);
    const descr = /'descr': *'([^']*)'/.exec(header)[1];
    if (!(descr in TYPES) || !/'fortran_order': *False/.test(header))
        throw new Error(`${file}: unexpected layout ${header}`);
    const dims = /'shape': *\(([^)]*)\)/.exec(header)[1].split(',').filter((d) => d.trim() !== '').map(Number);
    const [type, Kind] = TYPES[descr];
    const body = bytes.buffer.slice(bytes.byteOffset + start + length, bytes.byteOffset + bytes.length);
    const data = new Kind(body);
    if (data.length !== dims.reduce((a, b) => a * b, 1))
        throw new Error(`${file}: ${data.length} elements for shape ${dims}`);
    return { type, dims, data };
}

function write(file, { type, dims, data }) {
    const descr = Object.keys(TYPES).find((key) => TYPES[key][0] === type);
    if (descr === undefined)
        throw new Error(`${file}: no .npy form of type ${type}`);
    let header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims.map((d) => `${d},`).join(' ')}), }`;
    header += ' '.repeat(63 - ((10 + header.length) % 64)) + '\n';
    const start = Buffer.alloc(10);
    start.write('\x93NUMPY\x01\x00', 'latin1');
    start.writeUInt16LE(header.length, 8);
    const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    fs.writeFileSync(file, Buffer.concat([start, Buffer.from(header, 'latin1'), body]));
}

module.exports = { read, write };
