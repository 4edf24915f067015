// measure.js - how far two tensors are apart; each is {dims, data}.
'use strict';

const sameShape = (a, b) => a.dims.length === b.dims.length && a.dims.every((d, i) => d === b.dims[i]);

// Greatest |a - b| over greatest |b|; Infinity for other shapes or what is not finite on one side only.
function relativeDifference(a, b) {
    if (!sameShape(a, b))
        return Infinity;
    let difference = 0, greatest = 0;
    for (let i = 0; i < b.data.length; i++) {
        const x = Number(a.data[i]), y = Number(b.data[i]);
        if (Object.is(x, y) || x === y)
            continue;
        if (!Number.isFinite(x) || !Number.isFinite(y))
            return Infinity;
        difference = Math.max(difference, Math.abs(x - y));
    }
    for (let i = 0; i < b.data.length; i++)
        greatest = Math.max(greatest, Math.abs(Number(b.data[i])) || 0);
    return difference === 0 ? 0 : difference / greatest;
}

// SQNR of `noisy` against `clean` over several samples, in dB: 10 log10(sum clean^2 / sum (clean - noisy)^2).
class Sqnr {
    constructor() {
        this.signal = 0;
        this.noise = 0;
    }
    add(clean, noisy) {
        if (!sameShape(clean, noisy))
            this.noise = Infinity;
        for (let i = 0; i < clean.data.length; i++) {
            const x = Number(clean.data[i]), difference = x - Number(noisy.data[i]);
            this.signal += x * x;
            this.noise += difference * difference;
        }
    }
    get db() {
        return this.noise === 0 ? Infinity : 10 * Math.log10(this.signal / this.noise);
    }
}

// Index of the greatest element; of equal ones the first.
function best(tensor) {
    let at = 0;
    for (let i = 1; i < tensor.data.length; i++)
        if (tensor.data[i] > tensor.data[at])
            at = i;
    return at;
}

module.exports = { relativeDifference, Sqnr, best };
