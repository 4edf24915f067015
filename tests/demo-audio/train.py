#!/usr/bin/env python3
"""Trains the demo's keyword spotter and exports it as keywords.onnx.

A small net in the manner of DS-CNN: depthwise and pointwise convolutions over
a log-mel spectrogram, ReLU, two residual sums, batch normalisation.  It is
exported with the batch normalisation as nodes of its own, as it leaves a
training framework.  The training clips are made on the spot by generate.py;
their front end is written in the model's metadata, and `log_mel` below is
that front end from the formulas.

Needs (Debian 12 or later) what generate.py names, and

    apt install python3-torch python3-onnx

Run, after generate.py (about half an hour on two CPU cores):

    /usr/bin/python3 train.py                               writes keywords.onnx, tests it
    /usr/bin/python3 train.py --epochs 1 --output try.onnx  a quick try
    /usr/bin/python3 train.py --compare ./quantize          only: log_mel against the program's features
"""

import argparse
import functools
import json
import multiprocessing
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import onnx
import soundfile
import torch
from torch import nn
from torch.nn import functional

import generate

HERE = pathlib.Path(__file__).resolve().parent
TRAIN_COUNT = 30_000
BATCH = 64

# As `quantize` and librosa call them: power, periodic Hann window, frames centred, mirrored at the ends.
FRONT_END = {"kind": "logmel", "n_fft": 512, "win_length": 480, "hop_length": 320, "n_mels": 40, "fmin": 60,
             "fmax": 7600, "htk": True, "norm": "none", "offset": 1e-6}
FRAMES = generate.LENGTH // FRONT_END["hop_length"] + 1


@functools.lru_cache
def mel_bands():
    """(bins, mels): triangles of height 1 between points evenly spaced on the HTK mel scale."""
    f = FRONT_END
    mel = np.linspace(*(2595 * np.log10(1 + np.array([f["fmin"], f["fmax"]]) / 700)), f["n_mels"] + 2)
    points = 700 * (10 ** (mel / 2595) - 1)
    low, peak, high = points[:-2], points[1:-1], points[2:]
    hertz = np.arange(f["n_fft"] // 2 + 1)[:, None] * generate.RATE / f["n_fft"]
    return np.maximum(np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)), 0)


def log_mel(sound):
    """(mels, frames) of one clip."""
    f = FRONT_END
    window = np.zeros(f["n_fft"])
    left = (f["n_fft"] - f["win_length"]) // 2
    window[left:left + f["win_length"]] = np.sin(np.pi * np.arange(f["win_length"]) / f["win_length"]) ** 2
    padded = np.pad(sound.astype(np.float64), f["n_fft"] // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, f["n_fft"])[::f["hop_length"]]
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    return np.log(power @ mel_bands() + f["offset"]).T


def conv(inputs, outputs, kernel=1, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU())


class Separable(nn.Module):
    """Filter each channel by itself, then mix them; the input is added where it fits."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.body = nn.Sequential(conv(inputs, inputs, 3, stride, groups=inputs), conv(inputs, outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            conv(1, 32, 5, stride=2),                              # 40x51 -> 20x26
            Separable(32, 48, stride=2), Separable(48, 48),        # -> 10x13
            Separable(48, 80), Separable(80, 80),
            Separable(80, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classify = nn.Sequential(nn.Dropout(0.2), nn.Linear(128, classes))

    def forward(self, x):
        return self.classify(self.features(x))


def training_part(part):
    pairs = [(log_mel(sound).astype(np.float16), kind) for sound, kind in generate.make(generate.TRAIN_SEED, *part, generate.TRAIN_LEAST)]
    return np.stack([features for features, _ in pairs]), [kind for _, kind in pairs]


def training_set(count):
    """All training clips as features [count, 1, mels, frames], and their classes."""
    step = 1200
    ranges = [(min(step, count - first), first) for first in range(0, count, step)]
    with multiprocessing.Pool() as pool:
        parts = pool.map(training_part, ranges, chunksize=1)
    features = torch.from_numpy(np.concatenate([f for f, _ in parts]))[:, None]
    return features, torch.tensor([kind for _, kinds in parts for kind in kinds])


def disguise(features):
    """Moves a batch by some frames and mel bands, as another throat would, and covers a stripe of time and one of
    frequency with the mean: the net must lean neither on one voice nor on one sound of a word."""
    for axis, widest in [(2, 3), (3, 4)]:
        step = int(torch.randint(-widest, widest + 1, ()))
        index = (torch.arange(features.shape[axis]) - step).clamp(0, features.shape[axis] - 1)
        features = features.index_select(axis, index)
    for axis, widest in [(2, 8), (3, 12)]:
        width, size = int(torch.randint(widest, ())), features.shape[axis]
        features.narrow(axis, int(torch.randint(size - width, ())), width).zero_()
    return features


def train(net, features, kinds, mean, std, epochs):
    steps = len(features) // BATCH * epochs
    filters = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": filters, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.2)
    net.train()
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        order = torch.randperm(len(features))[:len(features) // BATCH * BATCH].view(-1, BATCH)
        for rows in order:
            batch = disguise((features[rows].float() - mean) / std)
            batch = batch.contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(net(batch), kinds[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(order):.4f}, {time.time() - start:.0f} s", flush=True)


@torch.no_grad()
def accuracy(net, mean, std):
    """The share of the evaluation files the net names rightly."""
    rows = [line.split() for line in (HERE / "eval_labels.txt").read_text().splitlines()]
    sounds = [soundfile.read(HERE / "eval" / name, dtype="float32") for name, _ in rows]
    features = np.stack([log_mel(resample(*sound)) for sound in sounds])[:, None].astype(np.float32)
    answers = net((torch.from_numpy(features) - mean) / std).argmax(1)
    return (answers == torch.tensor([int(kind) for _, kind in rows])).float().mean().item()


def resample(sound, rate):
    assert rate == generate.RATE
    return np.pad(sound[:generate.LENGTH], (0, max(generate.LENGTH - len(sound), 0)))


def export(net, mean, std, path):
    """Writes the ONNX file; how a recording becomes the input travels in its metadata."""
    # PRESERVE keeps the exporter from folding the batch normalisation; dropout is taken out by hand.
    net.classify[0] = nn.Identity()
    torch.onnx.export(net, torch.zeros(2, 1, FRONT_END["n_mels"], FRAMES), str(path),
                      opset_version=13, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE,
                      input_names=["log_mel"], output_names=["logits"],
                      dynamic_axes={"log_mel": {0: "N"}, "logits": {0: "N"}})
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {
        "quantize.preprocess": json.dumps({"sample_rate": generate.RATE, "window": generate.LENGTH / generate.RATE,
                                           "features": {**FRONT_END, "mean": mean, "std": std}}),
        "quantize.classes": json.dumps(generate.CLASSES)})
    model.doc_string = "Recognises one of ten spoken words: the audio demo of quantize, trained by train.py."
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def compare(quantize, model):
    """The greatest difference of our features from those the program feeds the model."""
    files = [path for path in sorted((HERE / "calib").iterdir()) if path.suffix in (".ogg", ".flac")]
    front_end = json.loads({p.key: p.value for p in onnx.load(str(model)).metadata_props}["quantize.preprocess"])
    mean, std = (front_end["features"][key] for key in ("mean", "std"))
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([quantize, "run", model, "--input", HERE / "calib", "--save-inputs", folder, "-q"], check=True,
                       stdout=subprocess.DEVNULL)
        for path in files:
            theirs = np.load(pathlib.Path(folder) / f"{path.name}.log_mel.npy")[0, 0]
            ours = (log_mel(resample(*soundfile.read(path, dtype="float32"))) - mean) / std
            worst = max(worst, np.abs(theirs - ours).max())
    print(f"{len(files)} clips: log_mel and the program differ by {worst:.1e} at most")


def main():
    parser = argparse.ArgumentParser(description="Trains the demo's keyword spotter.")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "keywords.onnx")
    parser.add_argument("--compare", metavar="QUANTIZE")
    arguments = parser.parse_args()
    if arguments.compare:
        return compare(arguments.compare, arguments.output)

    torch.manual_seed(1)
    started = time.time()
    features, kinds = training_set(TRAIN_COUNT)
    print(f"{len(features)} clips in {time.time() - started:.0f} s", flush=True)
    mean, std = (round(value(features[::10].float()).item(), 3) for value in (torch.mean, torch.std))
    # Channels last is the faster order on a CPU.
    net = Net(len(generate.CLASSES)).to(memory_format=torch.channels_last)
    train(net, features, kinds, mean, std, arguments.epochs)
    net = net.to(memory_format=torch.contiguous_format).eval()
    export(net, mean, std, arguments.output)
    print(f"fp32 {accuracy(net, mean, std):.2%}")
    return None


if __name__ == "__main__":
    main()
