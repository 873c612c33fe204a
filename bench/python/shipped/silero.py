"""silero-vad's inner network for 16 kHz, a chunk of sound and a state in, a probability and a state out."""

from pathlib import Path

import numpy as np
import torch

from .common import package, save

RATE, CHUNK, CONTEXT, STATE = 16000, 512, 64, 128
CHUNKS = 32


class Network(torch.nn.Module):
    """The package's network, whose file holds it as TorchScript with branches, written as one path: states [N, 2, 128]."""

    def __init__(self, shipped: torch.jit.ScriptModule):
        super().__init__()
        weights = {name: tensor.detach().clone() for name, tensor in shipped.named_parameters()}
        basis = shipped.stft.forward_basis_buffer.detach().clone()
        self.spectrum = torch.nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.spectrum.weight = torch.nn.Parameter(basis)
        sizes = [(129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1)]
        self.encoder = torch.nn.ModuleList(
            torch.nn.Conv1d(taken, made, 3, stride=stride, padding=1) for taken, made, stride in sizes
        )
        self.rnn = torch.nn.LSTMCell(128, STATE)
        self.head = torch.nn.Conv1d(STATE, 1, 1)
        layers = {f"encoder.{i}.reparam_conv": layer for i, layer in enumerate(self.encoder)}
        for name, layer in {**layers, "decoder.rnn": self.rnn, "decoder.decoder.2": self.head}.items():
            layer.load_state_dict({key: weights[f"{name}.{key}"] for key in layer.state_dict()})

    def forward(self, chunk, state):
        padded = torch.nn.functional.pad(chunk.unsqueeze(1), (0, CONTEXT), mode="reflect")
        real, imaginary = self.spectrum(padded).chunk(2, 1)
        x = (real**2 + imaginary**2).sqrt()
        for layer in self.encoder:
            x = layer(x).relu()
        hidden, cell = self.rnn(x.squeeze(-1), (state[:, 0], state[:, 1]))
        return self.head(hidden.unsqueeze(-1).relu()).sigmoid().squeeze(-1), torch.stack([hidden, cell], 1)


def network() -> Network:
    """Says where it differs from what the package ships."""
    folder = package("silero-vad==6.2.3") / "silero_vad" / "data"
    shipped = torch.jit.load(str(folder / "silero_vad.jit"))._model.eval()
    model = Network(shipped).eval()
    chunk, state = torch.randn(4, CHUNK + CONTEXT) / 10, torch.randn(4, 2, STATE) / 10
    with torch.no_grad():
        theirs, after = shipped(chunk, state.transpose(0, 1))
        probability, states = model(chunk, state)
    torch.testing.assert_close(probability, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(states, after.transpose(0, 1), rtol=1e-4, atol=1e-5)
    return model


def speech(random: np.random.Generator, length: int) -> np.ndarray:
    """Speech-like sound: syllables of voiced pulses and of hiss, through formants that move, with pauses."""
    sound = np.zeros(length)
    at = 0
    while at < length:
        size = int(random.uniform(0.06, 0.3) * RATE)
        kind = random.choice(["voiced", "voiced", "hiss", "pause"])
        time = np.arange(size) / RATE
        if kind == "voiced":
            pitch = random.uniform(85, 280) * 2 ** (random.uniform(-0.3, 0.3) * time / time[-1])
            phase = 2 * np.pi * np.cumsum(pitch) / RATE
            syllable = np.zeros(size)
            begin = random.uniform([250, 800, 2200], [850, 2400, 3200])
            end = begin * random.uniform(0.7, 1.4, 3)
            share = time / time[-1]
            for harmonic in range(1, 40):
                frequency = harmonic * pitch
                gain = sum(
                    level * np.exp(-(((frequency - (b + (e - b) * share)) / wide) ** 2))
                    for b, e, wide, level in zip(begin, end, [120, 160, 220], [1, 0.6, 0.3])
                )
                syllable += (gain + 0.02) / harmonic**0.5 * np.sin(harmonic * phase) * (frequency < 7600)
        elif kind == "hiss":
            noise = random.normal(0, 1, size)
            syllable = 0.3 * (noise - np.roll(noise, 1))
        else:
            syllable = np.zeros(size)
        syllable *= np.minimum(1, np.minimum(time, time[::-1]) / 0.015)
        stop = min(length, at + size)
        sound[at:stop] += syllable[: stop - at]
        at = stop
    return sound


def recordings(count: int, seed: int) -> np.ndarray:
    """Recordings [count, 32 chunks of 512]: speech-like sound, tones, noise and silence, one after the other."""
    random = np.random.default_rng(seed)
    length = CHUNKS * CHUNK
    sounds = np.empty((count, length), np.float32)
    for row in range(count):
        sound = np.zeros(length)
        at = 0
        while at < length:
            size = int(random.uniform(0.2, 0.7) * RATE)
            stop = min(length, at + size)
            time = np.arange(stop - at) / RATE
            kind = random.choice(["speech", "speech", "tone", "noise", "silence"])
            if kind == "speech":
                part = speech(random, stop - at)
            elif kind == "tone":
                part = np.sin(2 * np.pi * random.uniform(100, 4000) * time * (1 + random.uniform(-0.5, 0.5) * time))
            elif kind == "noise":
                part = random.normal(0, 1, stop - at)
            else:
                part = np.zeros(stop - at)
            sound[at:stop] = part * 10 ** random.uniform(-2, -0.5) / (np.abs(part).max() + 1e-9)
            at = stop
        sounds[row] = sound + random.normal(0, 10 ** random.uniform(-4.5, -2.5), length)
    return sounds


def chunks(sounds: np.ndarray) -> np.ndarray:
    """Chunks with the context before them, [count, 32, 576]."""
    padded = np.pad(sounds, ((0, 0), (CONTEXT, 0)))
    return np.stack([padded[:, i * CHUNK : i * CHUNK + CHUNK + CONTEXT] for i in range(CHUNKS)], 1)


def walked(model: torch.nn.Module, sounds: np.ndarray) -> dict[str, np.ndarray]:
    """Every chunk with the state in which the network meets it: chunks [N, 576], states [N, 2, 128], answers [N]."""
    parts = torch.from_numpy(chunks(sounds))
    state = torch.zeros(len(sounds), 2, STATE)
    states, answers = [], []
    with torch.no_grad():
        for i in range(CHUNKS):
            states.append(state)
            probability, state = model(parts[:, i], state)
            answers.append(probability)
    return {
        "chunks": parts.flatten(0, 1).numpy(),
        "states": torch.stack(states, 1).flatten(0, 1).numpy(),
        "answers": torch.stack(answers, 1).flatten().numpy(),
    }


def make(folder: Path, seeds: int) -> None:
    model = network()
    arrays = {f"train-{seed}": walked(model, recordings(400, 1000 + seed)) for seed in range(seeds)}
    arrays["test"] = walked(model, recordings(200, 1))
    example = tuple(torch.from_numpy(arrays["test"][name][:2]) for name in ("chunks", "states"))
    save(folder, model, example, arrays)
