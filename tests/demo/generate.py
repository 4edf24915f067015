#!/usr/bin/env python3
"""Makes the demo's images: one printed character each, 32x32 RGB.

Every image is rendered here from fonts under free licences and then spoiled:
turned, sheared, scaled, seen in perspective, put on a cluttered background,
blurred, recoloured, noised.  The same seed always gives the same images with
the same versions of Pillow, FreeType and the fonts.

Needs (Debian 12 or later):

    apt install python3-pil python3-numpy fonts-dejavu-core fonts-liberation2 \\
        fonts-freefont-ttf fonts-roboto-unhinted fonts-lato fonts-open-sans \\
        fonts-cantarell fonts-comfortaa fonts-inconsolata fonts-quicksand \\
        fonts-hack fonts-firacode fonts-ebgaramond fonts-linuxlibertine \\
        fonts-crosextra-carlito fonts-urw-base35 fonts-cabin \\
        fonts-crosextra-caladea fonts-go fonts-b612 fonts-jetbrains-mono \\
        fonts-karla fonts-vollkorn

Run:

    /usr/bin/python3 generate.py            writes calib/, eval/, eval_labels.txt
    /usr/bin/python3 generate.py --sheet f  writes a contact sheet to look at

train.py imports this file for its training images.
"""

import argparse
import functools
import io
import math
import pathlib
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Characters that fonts draw alike are left out, so that the labels are fair:
# O and o (0), I and l (1), and the small letters that are just small capitals.
CLASSES = list("0123456789ABCDEFGHJKLMNPQRSTUVWXYZadehnr")

SIZE = 32          # the images' width and height
CANVAS = 2 * SIZE  # everything is drawn at twice the size, then averaged down
MASK = 96          # a glyph's own picture, before it is warped onto the canvas
CAP = 40           # height of a capital H in that picture

CALIB_COUNT = 96
EVAL_COUNT = 400
# Training, calibration and evaluation draw from streams of their own, so no
# image is in two of them.
TRAIN_SEED, CALIB_SEED, EVAL_SEED = 1, 2, 3

FONT_ROOT = pathlib.Path("/usr/share/fonts")

# Path up to the style, the ending, the styles used.
TRAIN_FONTS = [
    ("truetype/dejavu/DejaVu", ".ttf", "Sans Sans-Bold SansMono Serif Serif-Bold"),
    ("truetype/liberation2/Liberation", ".ttf",
     "Sans-Regular Sans-BoldItalic Serif-Regular Serif-Bold Serif-Italic Mono-Bold"),
    ("truetype/freefont/Free", ".ttf", "SansBold SansOblique Serif SerifBoldItalic Mono MonoBold"),
    ("truetype/roboto/unhinted/RobotoCondensed-", ".ttf", "Regular Bold"),
    ("truetype/roboto/unhinted/RobotoTTF/Roboto-", ".ttf", "Light Regular Black"),
    ("truetype/lato/Lato-", ".ttf", "Light Regular HeavyItalic"),
    ("truetype/open-sans/OpenSans-", ".ttf", "Regular BoldItalic CondBold"),
    ("opentype/cantarell/Cantarell-", ".otf", "Regular ExtraBold"),
    ("truetype/comfortaa/Comfortaa-", ".ttf", "Regular Bold"),
    ("truetype/inconsolata/Inconsolata", ".otf", ""),
    ("truetype/quicksand/Quicksand-", ".ttf", "Medium Bold"),
    ("truetype/hack/Hack-", ".ttf", "Regular Bold"),
    ("truetype/firacode/FiraCode-", ".ttf", "Light SemiBold"),
    ("opentype/ebgaramond/EBGaramond12-", ".otf", "Regular Bold"),
    ("opentype/linux-libertine/LinLibertine_", ".otf", "R RB RI"),
    ("opentype/linux-libertine/LinBiolinum_", ".otf", "R RB"),
    ("truetype/crosextra/Carlito-", ".ttf", "Regular Bold"),
    ("opentype/urw-base35/URWBookman-", ".otf", "Light Demi"),
    ("opentype/urw-base35/URWGothic-", ".otf", "Book Demi"),
    ("opentype/urw-base35/C059-", ".otf", "Roman Bold"),
    ("opentype/cabin/Cabin-", ".otf", "Regular BoldItalic"),
]
# Never seen in training or calibration: half of the evaluation images.
UNSEEN_FONTS = [
    ("truetype/crosextra/Caladea-", ".ttf", "Regular BoldItalic"),
    ("fonts-go/Go-", ".ttf", "Regular Bold Mono"),
    ("opentype/b612/B612-", ".otf", "Regular Bold"),
    ("truetype/jetbrains-mono/JetBrainsMono-", ".ttf", "Regular ExtraBold"),
    ("truetype/karla/Karla-", ".otf", "Regular Bold"),
    ("truetype/vollkorn/Vollkorn-", ".ttf", "Regular Bold"),
]


def font_files(table):
    """The paths a font table stands for, checked to be there."""
    files = [FONT_ROOT / (stem + style + ending)
             for stem, ending, styles in table
             for style in (styles.split() or [""])]
    missing = [str(f) for f in files if not f.exists()]
    if missing:
        raise SystemExit("fonts not installed (see the top of generate.py): " + ", ".join(missing))
    return files


@functools.lru_cache(maxsize=None)
def load_font(path):
    """The font at the size where a capital H is CAP pixels high."""
    trial = ImageFont.truetype(str(path), 100)
    left, top, right, bottom = trial.getbbox("H")
    return ImageFont.truetype(str(path), round(100 * CAP / (bottom - top)))


@functools.lru_cache(maxsize=None)
def glyph(path, char):
    """A character in the middle of a MASK x MASK picture, and its larger side."""
    font = load_font(path)
    left, top, right, bottom = font.getbbox(char)
    mask = Image.new("L", (MASK, MASK))
    ImageDraw.Draw(mask).text(((MASK - left - right) / 2, (MASK - top - bottom) / 2),
                              char, fill=255, font=font)
    return mask, max(right - left, bottom - top)


def warp(rng, mask, scale, x, y):
    """The mask turned, sheared, in perspective; its middle at (x, y) of the canvas."""
    turn = math.radians(rng.gauss(0, 14))
    shear = rng.uniform(-0.32, 0.32)
    stretch = rng.uniform(0.8, 1.25)
    cos, sin = math.cos(turn), math.sin(turn)
    place = np.array([[scale * stretch, scale * shear, 0], [0, scale / stretch, 0], [0, 0, 1]])
    place = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1]]) @ place
    tilt = np.array([[1, 0, MASK / 2], [0, 1, MASK / 2], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, 1, 0], [rng.uniform(-0.007, 0.007), rng.uniform(-0.007, 0.007), 1]])
    # Pillow asks where in the source a pixel of the result comes from.
    source = tilt @ np.linalg.inv(place)
    source /= source[2, 2]
    return mask.transform((CANVAS, CANVAS), Image.Transform.PERSPECTIVE,
                          source.flatten()[:8].tolist(), Image.Resampling.BILINEAR)


def luma(colour):
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def random_colour(rng):
    return tuple(rng.randrange(256) for _ in range(3))


def near(rng, colour, spread):
    """A colour not far from the given one."""
    return tuple(min(255, max(0, c + rng.randint(-spread, spread))) for c in colour)


def background(rng, fonts, ground, other):
    """A gradient with lines, spots and cut-off characters on it."""
    angle = rng.uniform(0, 2 * math.pi)
    axis = np.linspace(-0.7, 0.7, CANVAS)
    ramp = 0.5 + 0.5 * (math.cos(angle) * axis[None, :] + math.sin(angle) * axis[:, None])
    ramp = ramp[:, :, None] * (np.array(other) - np.array(ground)) + np.array(ground)
    image = Image.fromarray(ramp.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(0, 3)):
        box = [rng.uniform(-10, CANVAS + 10) for _ in range(4)]
        if rng.random() < 0.6:
            draw.line(box, fill=near(rng, ground, 90), width=rng.randint(1, 4))
        else:
            draw.ellipse([min(box[0], box[2]), min(box[1], box[3]),
                          max(box[0], box[2]), max(box[1], box[3])], fill=near(rng, ground, 45))
    for _ in range(rng.randint(0, 3)):
        # Far enough from the middle that only part of it shows.
        direction, distance = rng.uniform(0, 2 * math.pi), rng.uniform(37, 50)
        mask, _ = glyph(rng.choice(fonts), rng.choice(CLASSES))
        mask = warp(rng, mask, rng.uniform(0.6, 1.2), CANVAS / 2 + distance * math.cos(direction),
                    CANVAS / 2 + distance * math.sin(direction))
        image.paste(near(rng, ground, 110), mask=mask)
    return image


def picture(rng, fonts, char):
    """One image of the character, as a PIL image."""
    ground = random_colour(rng)
    other = near(rng, ground, 60)
    ink = random_colour(rng)
    while min(abs(luma(ink) - luma(ground)), abs(luma(ink) - luma(other))) < 26:
        ink = random_colour(rng)
    image = background(rng, fonts, ground, other)

    mask, extent = glyph(rng.choice(fonts), char)
    scale = min(rng.uniform(0.65, 1.3), 56 / extent)
    mask = warp(rng, mask, scale, CANVAS / 2 + rng.uniform(-5, 5), CANVAS / 2 + rng.uniform(-5, 5))
    if rng.random() < 0.25:  # a soft shadow
        shadow = Image.new("L", (CANVAS, CANVAS))
        shadow.paste(mask, (rng.randint(-4, 4), rng.randint(-4, 4)))
        image.paste(near(rng, ground, 60), mask=shadow.filter(ImageFilter.GaussianBlur(1.5)))
    image.paste(ink, mask=mask)
    if rng.random() < 0.2:  # a scratch across the character
        ImageDraw.Draw(image).line([rng.uniform(0, CANVAS) for _ in range(4)],
                                   fill=near(rng, other, 30), width=rng.randint(1, 3))

    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2.7))).reduce(CANVAS // SIZE)
    pixels = np.asarray(image, dtype=np.float32)
    pixels = (pixels - 128) * rng.uniform(0.42, 1.15) + 128 + rng.uniform(-35, 35)
    noise = np.random.default_rng(rng.getrandbits(32))
    pixels += noise.normal(0, rng.uniform(0, 22), pixels.shape)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def make(seed, count, fonts, first=0):
    """Yields count pairs (image, class index), the classes in turn."""
    for i in range(first, first + count):
        label = i % len(CLASSES)
        # A stream per image: an image stays the same whatever the count is.
        yield picture(random.Random(seed * 10**9 + i), fonts, CLASSES[label]), label


def encode(image, ending):
    """The file's bytes.  Full colour resolution, so that decoders agree closely."""
    options = {"png": {"format": "PNG", "optimize": True},
               "jpg": {"format": "JPEG", "quality": 92, "subsampling": 0, "optimize": True},
               "webp": {"format": "WEBP", "quality": 92, "method": 6}}
    file = io.BytesIO()
    image.save(file, **options[ending])
    return file.getvalue()


def write_images(folder, images):
    """Writes the images in a mix of formats; returns the label lines."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    # Seven shares no factor with the number of classes: no class has one format.
    endings = ["jpg", "png", "jpg", "png", "jpg", "png", "webp"]
    lines = []
    for i, (image, label) in enumerate(images):
        ending = endings[i % len(endings)]
        name = f"{i:03d}.{ending}"
        (folder / name).write_bytes(encode(image, ending))
        lines.append(f"{name} {label}\n")
    return lines


def calibration_images():
    return make(CALIB_SEED, CALIB_COUNT, font_files(TRAIN_FONTS))


def evaluation_images(count=EVAL_COUNT):
    """Known and unseen fonts in turn (a class meets both: 40 is even, so shift each round)."""
    known, unseen = font_files(TRAIN_FONTS), font_files(UNSEEN_FONTS)
    pairs = zip(make(EVAL_SEED, count, known), make(EVAL_SEED, count, unseen))
    for i, pair in enumerate(pairs):
        yield pair[(i + i // len(CLASSES)) % 2]


def write_sheet(path):
    """Ten images of every class in one picture."""
    sheet = Image.new("RGB", (SIZE * len(CLASSES), SIZE * 10))
    for i, (image, label) in enumerate(evaluation_images()):
        sheet.paste(image, (label * SIZE, i // len(CLASSES) * SIZE))
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description="Makes the demo's images.")
    parser.add_argument("--sheet", metavar="FILE", help="only write a contact sheet")
    arguments = parser.parse_args()
    if arguments.sheet:
        write_sheet(arguments.sheet)
        return
    here = pathlib.Path(__file__).resolve().parent
    write_images(here / "calib", calibration_images())
    labels = write_images(here / "eval", evaluation_images())
    (here / "eval_labels.txt").write_text("".join(labels))


if __name__ == "__main__":
    main()
