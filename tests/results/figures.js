// figures.js - what a user would see of the difference: one class a kind of task, fed with the outputs of both models.
//
//     add(fp32, int8, label)   outputs in the order of the model, [name, tensor]
//     text()                   the cell of the table; undefined when nothing was seen
'use strict';

const { best } = require('../oracle/measure');

const percent = (part, whole) => `${(100 * part / whole).toFixed(1)} %`;

// Index of the greatest along an axis, for each place of the others.
function* bestAlong({ dims, data }, axis) {
    const size = dims[axis], inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1), outer = data.length / size / inner;
    for (let o = 0; o < outer; o++)
        for (let i = 0; i < inner; i++) {
            let at = 0;
            for (let k = 1; k < size; k++)
                if (data[(o * size + k) * inner + i] > data[(o * size + at) * inner + i])
                    at = k;
            yield at;
        }
}

class Top1 {
    constructor() {
        Object.assign(this, { n: 0, fp32: 0, int8: 0, same: 0 });
    }
    add([[, a]], [[, b]], label) {
        const x = best(a), y = best(b);
        this.n++;
        this.fp32 += x === label;
        this.int8 += y === label;
        this.same += x === y;
    }
    text() {
        const { n, fp32, int8, same } = this;
        return `top-1 ${percent(fp32, n)} → ${percent(int8, n)}, ${percent(same, n)} the same (${n})`;
    }
}

// Same best class along an axis: of a whole output, each pixel, each step of a sequence.
class Agreement {
    constructor(what, axis) {
        Object.assign(this, { what, axis, n: 0, same: 0 });
    }
    add([[, a]], [[, b]]) {
        const axis = this.axis < 0 ? a.dims.length + this.axis : this.axis, other = bestAlong(b, axis);
        for (const x of bestAlong(a, axis)) {
            this.n++;
            this.same += x === other.next().value;
        }
    }
    text() {
        return `${percent(this.same, this.n)} ${this.what}`;
    }
}

// A batch of sentences with a label each; several ways to batch them are told apart.
class Sentences {
    constructor() {
        this.ways = new Map();
    }
    add([[, a]], [[, b]], labels, way) {
        const sums = this.ways.get(way) || { n: 0, fp32: 0, int8: 0 };
        this.ways.set(way, sums);
        const other = bestAlong(b, 1);
        let k = 0;
        for (const x of bestAlong(a, 1)) {
            sums.n++;
            sums.fp32 += x === labels[k];
            sums.int8 += other.next().value === labels[k++];
        }
    }
    text() {
        return [...this.ways].map(([way, s]) => `${way}: ${percent(s.fp32, s.n)} → ${percent(s.int8, s.n)}`).join(', ') +
            ` (${[...this.ways.values()][0].n})`;
    }
}

// Elements above a threshold in both, of those above it in one.
class Mask {
    constructor({ outputs, above }) {
        Object.assign(this, { outputs, above, both: 0, either: 0 });
    }
    add(fp32, int8) {
        fp32.forEach(([name, a], k) => {
            if (!this.outputs.test(name))
                return;
            const b = int8[k][1];
            for (let i = 0; i < a.data.length; i++) {
                const x = a.data[i] > this.above, y = b.data[i] > this.above;
                this.both += x && y;
                this.either += x || y;
            }
        });
    }
    text() {
        return this.either === 0 ? undefined : `IoU ${(this.both / this.either).toFixed(3)} of what is above ${this.above}`;
    }
}

// Mean |difference| of the first output.
class MeanError {
    constructor(unit) {
        Object.assign(this, { unit, sum: 0, n: 0 });
    }
    add([[, a]], [[, b]]) {
        for (let i = 0; i < a.data.length; i++)
            this.sum += Math.abs(a.data[i] - b.data[i]);
        this.n += a.data.length;
    }
    text() {
        return `off by ${(this.sum / this.n).toPrecision(2)} ${this.unit} on average`;
    }
}

// Of pictures in 0..1.
class Psnr {
    constructor() {
        Object.assign(this, { sum: 0, n: 0 });
    }
    add([[, a]], [[, b]]) {
        for (let i = 0; i < a.data.length; i++)
            this.sum += (a.data[i] - b.data[i]) ** 2;
        this.n += a.data.length;
    }
    text() {
        return `PSNR ${(-10 * Math.log10(this.sum / this.n)).toFixed(1)} dB`;
    }
}

// Least and mean cosine of features.
class Cosine {
    constructor() {
        Object.assign(this, { least: 1, sum: 0, n: 0 });
    }
    add([[, a]], [[, b]]) {
        let ab = 0, aa = 0, bb = 0;
        for (let i = 0; i < a.data.length; i++) {
            ab += a.data[i] * b.data[i];
            aa += a.data[i] ** 2;
            bb += b.data[i] ** 2;
        }
        const cosine = ab / Math.sqrt(aa * bb);
        this.least = Math.min(this.least, cosine);
        this.sum += cosine;
        this.n++;
    }
    text() {
        return `cosine ${(this.sum / this.n).toFixed(4)}, least ${this.least.toFixed(4)}`;
    }
}

// ---- boxes of YOLOv8: [1, 4 + classes, anchors] with centre, width and height in pixels -----------------------------------------

function overlap(a, b) {
    const end = (box, k, way) => box[k] + way * box[k + 2] / 2;
    const side = (k) => Math.max(0, Math.min(end(a, k, 1), end(b, k, 1)) - Math.max(end(a, k, -1), end(b, k, -1)));
    const both = side(0) * side(1);
    return both / (a[2] * a[3] + b[2] * b[3] - both);
}

// Boxes [x, y, w, h, score, class] above a score, each the best of those of its class that it overlaps by more than 0.7.
function yoloBoxes({ dims, data }, least) {
    const [, rows, anchors] = dims, found = [];
    for (let i = 0; i < anchors; i++) {
        let at = 4;
        for (let k = 5; k < rows; k++)
            if (data[k * anchors + i] > data[at * anchors + i])
                at = k;
        if (data[at * anchors + i] > least)
            found.push([0, 1, 2, 3, at].map((k) => data[k * anchors + i]).concat(at));
    }
    const kept = [];
    for (const box of found.sort((a, b) => b[4] - a[4]))
        if (kept.every((other) => other[5] !== box[5] || overlap(box, other) <= 0.7))
            kept.push(box);
    return kept;
}

// Boxes above 0.5 of one model that have one of the same class in the other, above 0.25 (YOLOv8's own threshold), IoU > 0.8.
class Yolo {
    constructor() {
        this.sums = [[0, 0], [0, 0]];
    }
    add([[, a]], [[, b]]) {
        const boxes = [yoloBoxes(a, 0.25), yoloBoxes(b, 0.25)];
        boxes.forEach((mine, k) => {
            const certain = mine.filter((box) => box[4] > 0.5);
            const found = (box) => boxes[1 - k].some((other) => other[5] === box[5] && overlap(box, other) > 0.8);
            this.sums[k][0] += certain.filter(found).length;
            this.sums[k][1] += certain.length;
        });
    }
    text() {
        const [[a, n], [b, m]] = this.sums;
        return `boxes above 0.5 found again: ${percent(a, n)} of ${n}, back ${percent(b, m)} of ${m}`;
    }
}

const KINDS = {
    top1: () => new Top1(),
    class: () => new Agreement('same class', -1),
    steps: () => new Agreement('same class, each step', -1),
    pixels: () => new Agreement('same class, each pixel', 1),
    sentences: () => new Sentences(),
    mask: (options) => new Mask(options),
    error: (unit) => new MeanError(unit),
    psnr: () => new Psnr(),
    cosine: () => new Cosine(),
    yolo: () => new Yolo(),
};

const figureOf = (task) => (task === undefined ? { add() {}, text: () => undefined } : KINDS[task[0]](...task.slice(1)));

module.exports = { figureOf };
