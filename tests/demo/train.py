#!/usr/bin/env python3
"""Trains the demo's classifier and exports it as glyphs.onnx.

A small net in the manner of the mobile ones: depthwise convolutions, ReLU6,
residual sums, a branch that is concatenated, batch normalisation.  It is
exported with the batch normalisation as nodes of its own, as it leaves a
training framework, so that folding it is the quantizer's work.  The training
images are made on the spot by generate.py.

Needs (Debian 12 or later) what generate.py names, and

    apt install python3-torch python3-onnx

Run, after generate.py (about 20 minutes on two CPU cores):

    /usr/bin/python3 train.py                               writes glyphs.onnx, tests it
    /usr/bin/python3 train.py --epochs 1 --output try.onnx  a quick try
"""

import argparse
import copy
import json
import multiprocessing
import pathlib
import time

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

import generate

HERE = pathlib.Path(__file__).resolve().parent
TRAIN_COUNT = 100_000
BATCH = 128
UNEVEN = 6  # see make_uneven


def conv(inputs, outputs, kernel=1, stride=1, groups=1, relu=True):
    """Convolution, batch normalisation and, unless told otherwise, ReLU6."""
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs, eps=1e-3)]
    return nn.Sequential(*layers, *([nn.ReLU6()] if relu else []))


class Inverted(nn.Module):
    """Widen, filter each channel by itself, narrow; the input is added where it fits."""

    def __init__(self, inputs, outputs, stride=1, widen=4):
        super().__init__()
        wide = inputs * widen
        self.body = nn.Sequential(conv(inputs, wide),
                                  conv(wide, wide, 3, stride, groups=wide),
                                  conv(wide, outputs, relu=False))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.residual else self.body(x)


class Fork(nn.Module):
    """Two views of the same input, side by side: a plain one and a pooled one."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.plain = conv(inputs, outputs // 2)
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(inputs, outputs // 2))

    def forward(self, x):
        return torch.cat([self.plain(x), self.pooled(x)], 1)


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 16, 3), nn.MaxPool2d(2),           # 32 -> 16
            Inverted(16, 24), Inverted(24, 24),
            Inverted(24, 40, stride=2), Inverted(40, 40),  # -> 8
            Fork(40, 64),
            Inverted(64, 72, stride=2), Inverted(72, 72),  # -> 4
            conv(72, 192), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classify = nn.Linear(192, classes)

    def forward(self, x):
        return self.classify(self.features(x))


def training_part(part):
    first, count = part
    fonts = generate.font_files(generate.TRAIN_FONTS)
    images = list(generate.make(generate.TRAIN_SEED, count, fonts, first))
    return np.stack([np.asarray(image) for image, _ in images]), [label for _, label in images]


def training_set(count):
    """All training images as bytes [count, 3, 32, 32], and their labels."""
    step = 5000
    with multiprocessing.Pool() as pool:
        parts = pool.map(training_part, [(i, min(step, count - i)) for i in range(0, count, step)])
    pixels = np.concatenate([p for p, _ in parts]).transpose(0, 3, 1, 2)
    labels = [label for _, part in parts for label in part]
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.tensor(labels)


def train(net, images, labels, mean, std, epochs):
    steps = len(images) // BATCH * epochs
    filters = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD([{"params": filters, "weight_decay": 1e-4}, {"params": others}],
                                lr=0.1, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.15, steps, pct_start=0.2)
    net.train()
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        order = torch.randperm(len(images))[:len(images) // BATCH * BATCH].view(-1, BATCH)
        for rows in order:
            loss = functional.cross_entropy(net((images[rows] / 255 - mean) / std), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / len(order):.4f}, {time.time() - start:.0f} s", flush=True)


@torch.no_grad()
def make_uneven(net, sample):
    """Makes the channels' ranges unequal without changing what the net computes.

    In nets found in the wild, some channels before a depthwise convolution
    are tiny and its filter makes up for that, so that one scale for a whole
    weight tensor leaves the other filters a few steps only.  A net this small
    and well-behaved does not get there by itself and would forgive any
    quantizer.  A channel that stays well below the ReLU6's limit can be divided
    by a number and its filter multiplied by it: the product is the same.
    """
    for block in (m for m in net.modules() if isinstance(m, Inverted)):
        tops = []
        hook = block.body[0].register_forward_hook(lambda _, i, out: tops.append(out.amax((0, 2, 3))))
        for images in sample.split(BATCH):
            net(images)
        hook.remove()
        top = torch.stack(tops).amax(0)
        chosen = top.argsort()[:len(top) // 10]
        chosen = chosen[top[chosen] < 5]
        factor = 2 ** torch.empty(len(chosen)).uniform_(1, UNEVEN)
        norm, filters = block.body[0][1], block.body[1][0]
        norm.weight[chosen] /= factor
        norm.bias[chosen] /= factor
        filters.weight[chosen] *= factor.view(-1, 1, 1, 1)


@torch.no_grad()
def round_weights(net, per_channel):
    """A copy of the net as a plain int8 weight quantizer leaves it: batch
    normalisation folded, the filters rounded to 127 steps either side."""
    net = copy.deepcopy(net)
    for block in [m for m in net.modules() if isinstance(m, nn.Sequential) and isinstance(m[0], nn.Conv2d)]:
        block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()
    for layer in [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
        peak = layer.weight.abs()
        peak = peak.flatten(1).amax(1).view(-1, *[1] * (peak.dim() - 1)) if per_channel else peak.max()
        layer.weight.copy_((layer.weight / peak * 127).round() * peak / 127)
    return net


@torch.no_grad()
def accuracy(net, mean, std):
    """The share of the evaluation files the net names rightly."""
    lines = (HERE / "eval_labels.txt").read_text().splitlines()
    images = [np.asarray(Image.open(HERE / "eval" / line.split()[0]).convert("RGB")) for line in lines]
    labels = torch.tensor([int(line.split()[1]) for line in lines])
    images = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())
    right = net((images / 255 - mean) / std).argmax(1) == labels
    return right.float().mean().item()


def export(net, mean, std, path):
    """Writes the ONNX file; how to prepare an image travels in its metadata."""
    # PRESERVE keeps the exporter from folding the batch normalisation.
    torch.onnx.export(net, torch.zeros(2, 3, generate.SIZE, generate.SIZE), str(path),
                      opset_version=13, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE,
                      input_names=["image"], output_names=["logits"],
                      dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}})
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {
        # value = (pixel * scale - mean) / std
        "quantize.preprocess": json.dumps({
            "size": [generate.SIZE, generate.SIZE], "resize": "stretch", "interp": "bilinear",
            "color": "rgb", "scale": 1 / 255,
            "mean": [round(v, 3) for v in mean.flatten().tolist()],
            "std": [round(v, 3) for v in std.flatten().tolist()], "layout": "nchw"}),
        "quantize.classes": json.dumps(generate.CLASSES)})
    model.doc_string = "Recognises one printed character: the demo of quantize, trained by train.py."
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def main():
    parser = argparse.ArgumentParser(description="Trains the demo's classifier.")
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "glyphs.onnx")
    arguments = parser.parse_args()

    torch.manual_seed(1)
    images, labels = training_set(TRAIN_COUNT)
    # Three digits are all that the metadata says, so train with just these.
    per_channel = images.transpose(0, 1).flatten(1).float()
    mean, std = [(value / 255 * 1000).round().div(1000).view(3, 1, 1)
                 for value in (per_channel.mean(1), per_channel.std(1))]
    # Channels last is the faster order on a CPU.
    net = Net(len(generate.CLASSES)).to(memory_format=torch.channels_last)
    train(net, images.contiguous(memory_format=torch.channels_last), labels, mean, std, arguments.epochs)

    net = net.to(memory_format=torch.contiguous_format).eval()
    make_uneven(net, (images[:4000] / 255 - mean) / std)
    export(net, mean, std, arguments.output)
    print(f"fp32 {accuracy(net, mean, std):.2%}")
    print(f"int8 weights, a scale per channel {accuracy(round_weights(net, True), mean, std):.2%}")
    print(f"int8 weights, a scale per tensor  {accuracy(round_weights(net, False), mean, std):.2%}")


if __name__ == "__main__":
    main()
