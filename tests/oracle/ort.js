// ort.js - ONNX Runtime on tensors as npy.js gives them. One thread; every optimization that users get by default.
'use strict';

const ort = require('onnxruntime-node');

// On CPUs without VNNI the runtime's u8 x s8 products saturate in 16 bits; asked to, it computes them exactly there.
const EXACT = { session: { x64quantprecision: '1' } };

// optimized: path to write the graph to that really runs. level: of optimization, 'disabled' for each op as it stands.
async function open(model, optimized, level = 'all') {
    const options = {
        graphOptimizationLevel: level,
        logSeverityLevel: 3,
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        extra: EXACT,
    };
    if (optimized !== undefined)
        options.optimizedModelFilePath = optimized;
    return ort.InferenceSession.create(model, options);
}

// inputs, result: name -> {type, dims, data}
async function run(session, inputs) {
    const feeds = {};
    for (const [name, t] of Object.entries(inputs))
        feeds[name] = new ort.Tensor(t.type, t.data, t.dims);
    const result = {};
    for (const [name, t] of Object.entries(await session.run(feeds)))
        result[name] = { type: t.type, dims: [...t.dims], data: t.data };
    return result;
}

module.exports = { open, run };
