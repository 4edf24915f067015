#!/usr/bin/env python3
"""parity.py QUANTIZE FOLDER - our pictures beside Pillow's: shorter side to 256, centre crop of 224, both kernels.

    photo ─ quantize run --save-inputs (a model that is one Identity, scale 1) ─ (3, 224, 224) ─┐
    photo ─ Pillow: open, turn by EXIF, RGB, resize, crop ─────────────────────────────────────┴─ share within 1 of 255

Exit 1 when less than 99.9 % of the numbers are within 1. Needs python3-pil and python3-numpy.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageOps

SHORTER, CROP = 256, 224
WANTED = 0.999


def field(number, value):
    """A protobuf field: a small number, or bytes with their length in front (both below 128)."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(value)]) + value


def identity_model():
    """ONNX: y = Identity(x), float [1, 3, h, w]."""
    dims = field(1, field(1, 1)) + field(1, field(1, 3)) + field(1, field(2, "h")) + field(1, field(2, "w"))
    kind = field(2, field(1, field(1, 1) + field(2, dims)))
    node = field(1, "x") + field(2, "y") + field(4, "Identity")
    graph = field(1, node) + field(2, "g") + field(11, field(1, "x") + kind) + field(12, field(1, "y") + kind)
    return field(1, 7) + field(7, graph) + field(8, field(2, 13))


def by_pillow(path, kernel):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = image.size
    if width < height:
        size = (SHORTER, SHORTER * height // width)
    else:
        size = (SHORTER * width // height, SHORTER)
    left, top = round((size[0] - CROP) / 2), round((size[1] - CROP) / 2)
    image = image.resize(size, kernel).crop((left, top, left + CROP, top + CROP))
    return np.asarray(image).transpose(2, 0, 1).astype(np.float32)


def compare(quantize, files, name, kernel, folder):
    saved = folder / name
    subprocess.run([quantize, "run", folder / "identity.onnx", "--input", folder / "photos.txt", "--size",
                    f"{CROP}x{CROP}", "--resize", "crop", "--shorter", str(SHORTER), "--interp", name, "--color", "rgb",
                    "--scale", "1", "--save-inputs", saved, "-q"], check=True, stdout=subprocess.DEVNULL)
    differences = []
    for path in files:
        ours = np.load(next(saved.glob(f"*{path.name}.x.npy")))[0]
        differences.append(np.abs(ours - by_pillow(path, kernel)).astype(int).ravel())
    counts = np.bincount(np.concatenate(differences), minlength=2)
    within = counts[:2].sum() / counts.sum()
    print(f"{name}: {len(files)} photos, equal {counts[0] / counts.sum():.4%}, within 1 of 255 {within:.4%}, "
          f"at most {np.flatnonzero(counts)[-1]}")
    return within >= WANTED


def main():
    quantize, data = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    files = sorted(p for p in data.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        sys.exit(f"{data}: no photos")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "identity.onnx").write_bytes(identity_model())
        (folder / "photos.txt").write_text("".join(f"{path}\n" for path in files))
        kernels = [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]
        good = [compare(quantize, files, name, kernel, folder) for name, kernel in kernels]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
