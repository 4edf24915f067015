#!/usr/bin/env python3
"""Makes the demo's recordings: one spoken word each, 1 s of 16 kHz mono.

Every word is spoken here by espeak-ng, in English accents, voices, pitches
and speeds, and then spoiled: put at a random place, in a room, through a bad
line, under noise or other voices.  The same seed always gives the same sound
with the same version of espeak-ng (the files' bytes differ: an Ogg stream
carries a random number).

Needs (Debian 12 or later):

    apt install espeak-ng python3-numpy python3-scipy python3-soundfile

Run:

    /usr/bin/python3 generate.py    writes calib/, eval/, eval_labels.txt

train.py imports this file for its training clips.
"""

import functools
import io
import pathlib
import random
import shutil
import subprocess

import numpy as np
import soundfile
from scipy import signal

KEYWORDS = "yes no up down left right on off stop go".split()
CLASSES = KEYWORDS + ["_unknown_", "_silence_"]
# Any other word is "unknown"; some of them are in no training clip.
OTHERS = """zero one two three four five six seven eight nine bed bird cat dog happy house tree wow forward
    follow learn visual bread water paper green music never stock goat nose lift bright yet town upper often""".split()
UNSEEN_OTHERS = "window seventy table garden stuff gold note light done ripe".split()

RATE = 16000
LENGTH = RATE  # samples of a clip

ACCENTS = ["en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd"]
VOICES = """m1 m3 m4 m5 m7 m8 f1 f2 f4 klatt klatt3 klatt4 Alex Andy Denis Gene Henrique Jacky Lee Mario Michael
    Nguyen adam aunty belinda benjamin david edward iven john linda max pablo paul quincy steph travis""".split()
# Never heard in training or calibration: a third of the evaluation clips.
UNSEEN_ACCENTS = ["en-us-nyc", "en-029", "en-us"]
UNSEEN_VOICES = "m2 m6 f3 f5 klatt2 Andrea Alicia shelby ed Marco robert victor steph2 mike anika".split()

CALIB_COUNT = 96
EVAL_COUNT = 400
# Training, calibration and evaluation draw from streams of their own, so no clip is in two of them.
TRAIN_SEED, CALIB_SEED, EVAL_SEED = 1, 2, 3
# dB that a word is above the noise at least: in training it is harder than in use.
TRAIN_LEAST, LEAST = -2, 8


@functools.lru_cache(maxsize=None)
def speak(text, voice, pitch, speed):
    """A word said by espeak-ng, without the silence around it, peak 1, as floats at RATE."""
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    wav = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    sound, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    assert rate == 22050
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    sound = signal.resample_poly(sound[loud[0]:loud[-1] + 1], 320, 441)
    return (sound / np.abs(sound).max()).astype(np.float32)


def say(draw, word, accents, voices):
    """The word as somebody says it; the numbers are coarse so that a voice is heard again in other rooms."""
    voice = f"{draw.choice(accents)}+{draw.choice(voices)}"
    return speak(word + draw.choice(["", "", "!", "?"]), voice, draw.randrange(20, 81, 15), draw.randrange(120, 221, 25))


def coloured(draw, numbers, slope):
    """Noise whose power falls with frequency to the given power: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(numbers.standard_normal(LENGTH))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** (-slope / 2)
    spectrum[0] = 0
    return np.fft.irfft(spectrum, LENGTH)


def hum(draw, numbers):
    """A machine: a tone of few hertz's wobble with its overtones, and some hiss."""
    time = np.arange(LENGTH) / RATE
    base = draw.uniform(45, 180)
    tones = sum(draw.random() / k * np.sin(2 * np.pi * (base * k * time + draw.random())) for k in range(1, 12))
    return tones + 0.1 * coloured(draw, numbers, 1)


def babble(draw, numbers, accents, voices):
    """Several people at once."""
    total = np.zeros(LENGTH)
    for _ in range(draw.randrange(4, 8)):
        voice = say(draw, draw.choice(OTHERS), accents, voices)
        total += np.roll(np.resize(voice, LENGTH), draw.randrange(LENGTH)) * draw.uniform(0.3, 1)
    return total


def room(draw, numbers, sound):
    """Reverberation: the direct sound, then noise that dies away."""
    seconds = draw.uniform(0.05, 0.5)  # until 60 dB are lost
    time = np.arange(int(RATE * seconds)) / RATE
    tail = numbers.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= draw.uniform(0.2, 0.9) / np.sqrt((tail ** 2).sum())
    tail[0] = 1
    return signal.fftconvolve(sound, tail)[:len(sound)]


def bad_line(draw, sound):
    """A cheap microphone or a telephone."""
    low, high = draw.uniform(80, 350), draw.uniform(2800, 6500)
    return signal.sosfilt(signal.butter(2, [low, high], "bandpass", fs=RATE, output="sos"), sound)


def clip(draw, kind, least, accents, voices, others):
    """One clip of class `kind`, the word at least `least` dB above the noise."""
    numbers = np.random.default_rng(draw.getrandbits(32))
    sound = np.zeros(LENGTH)
    if kind != "_silence_":
        word = say(draw, draw.choice(others) if kind == "_unknown_" else kind, accents, voices)[:LENGTH]
        at = draw.randrange(max(LENGTH - len(word), 0) + 1)
        sound[at:at + len(word)] = word
    if draw.random() < 0.6:
        sound = room(draw, numbers, sound)
    noise = draw.choice([lambda: coloured(draw, numbers, draw.uniform(0, 2)), lambda: hum(draw, numbers),
                         lambda: babble(draw, numbers, accents, voices)])()
    level = np.sqrt((sound ** 2).sum() / max(np.count_nonzero(np.abs(sound) > 1e-4), 1)) or 0.1
    noise *= level * 10 ** (-draw.uniform(least, 30) / 20) / np.sqrt((noise ** 2).mean())
    sound = sound + noise
    if draw.random() < 0.3:
        sound = bad_line(draw, sound)
    return (sound / np.abs(sound).max() * 10 ** (-draw.uniform(1, 25) / 20)).astype(np.float32)


def make(seed, count, first=0, least=LEAST, unseen=0.0):
    """Pairs (clip, class number); the share `unseen` of them by voices that training never hears.

    Each clip has a stream of its own, so that parts may be made apart."""
    for i in range(first, first + count):
        draw = random.Random(f"{seed} {i}")
        kind = i % len(CLASSES)
        if draw.random() < unseen:
            yield clip(draw, CLASSES[kind], least, UNSEEN_ACCENTS, UNSEEN_VOICES, UNSEEN_OTHERS), kind
        else:
            yield clip(draw, CLASSES[kind], least, ACCENTS, VOICES, OTHERS), kind


def write(path, sound):
    """By the ending: Vorbis, Opus, FLAC or MP3."""
    form = {".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS"), ".flac": ("FLAC", "PCM_16"),
            ".mp3": ("MP3", "MPEG_LAYER_III")}[path.suffix]
    with soundfile.SoundFile(str(path), "w", RATE, 1, form[1], format=form[0]) as file:
        file.write(sound)


def main():
    here = pathlib.Path(__file__).resolve().parent
    for name in ["calib", "eval"]:
        shutil.rmtree(here / name, ignore_errors=True)
        (here / name).mkdir()
    endings = [".ogg", ".ogg", ".opus", ".flac", ".mp3"]  # what people have
    for i, (sound, kind) in enumerate(make(CALIB_SEED, CALIB_COUNT)):
        write(here / "calib" / f"{i:03}_{CLASSES[kind].strip('_')}{endings[i % len(endings)]}", sound)
    lines = []
    for i, (sound, kind) in enumerate(make(EVAL_SEED, EVAL_COUNT, unseen=1 / 3)):
        name = f"{i:03}_{CLASSES[kind].strip('_')}{['.opus', '.ogg'][i % 3 == 0]}"
        write(here / "eval" / name, sound)
        lines.append(f"{name} {kind}\n")
    (here / "eval_labels.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
