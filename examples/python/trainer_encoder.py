"""A transformers encoder: traced for torchsearch, and its subnet trained by transformers' Trainer.

    python trainer_encoder.py make encoder.pt train.npz test.npz
    torchsearch search encoder.pt --data train.npz --constraint flops=60% --output subnet.pt
    python trainer_encoder.py train subnet.pt train.npz test.npz tuned.pt
"""
import sys
import tempfile

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

LENGTH, WORDS, CLASSES = 16, 50, 3


class Logits(torch.nn.Module):
    """What a trace can hold: tensors in, one tensor out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


class WithLoss(torch.nn.Module):
    """What Trainer calls: keyword arguments in, the loss among what comes out."""

    def __init__(self, subnet):
        super().__init__()
        self.subnet = subnet

    def forward(self, input_ids, attention_mask, labels=None):
        logits = self.subnet(input_ids, attention_mask)
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits}


class Rows(torch.utils.data.Dataset):
    """The arrays of a file; they have the names of the model's arguments, by which torchsearch finds them too."""

    def __init__(self, file):
        self.columns = {name: torch.from_numpy(column) for name, column in np.load(file).items()}

    def __len__(self):
        return len(self.columns["labels"])

    def __getitem__(self, index):
        return {name: column[index] for name, column in self.columns.items()}


def sentences(count, generator):
    """Sequences of made-up words; the class is the one of three words that stands there most often."""
    ids = torch.randint(3, WORDS, (count, LENGTH), generator=generator)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    marked = torch.rand(ids.shape, generator=generator) < 0.3
    ids = torch.where(marked, labels[:, None].expand_as(ids), ids)
    lengths = torch.randint(LENGTH // 2, LENGTH + 1, (count, 1), generator=generator)
    mask = (torch.arange(LENGTH) < lengths).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}


def arguments(epochs, rate):
    return TrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=epochs, per_device_train_batch_size=32, learning_rate=rate,
        use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )


def accuracy(model, rows):
    with torch.no_grad():
        logits = model(rows.columns["input_ids"], rows.columns["attention_mask"])
    return (logits.argmax(1) == rows.columns["labels"]).float().mean().item()


def make(output, train_file, test_file):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    for file, count in ((train_file, 1500), (test_file, 500)):
        np.savez(file, **{name: column.numpy() for name, column in sentences(count, generator).items()})
    config = BertConfig(
        vocab_size=WORDS, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=LENGTH, num_labels=CLASSES,
    )
    model = Logits(BertForSequenceClassification(config))
    Trainer(WithLoss(model), arguments(6, 1e-3), train_dataset=Rows(train_file)).train()
    rows = Rows(test_file)
    example = tuple(rows.columns[name][:2] for name in ("input_ids", "attention_mask"))
    traced = torch.jit.trace(model.eval(), example, check_trace=False)  # in evaluation mode: dropout is left out
    traced.save(output)
    print(f"accuracy {accuracy(traced, rows):.4f}")


def train(subnet, train_file, test_file, output):
    model = torch.jit.load(subnet, map_location="cpu")
    rows = Rows(test_file)
    before = accuracy(model.eval(), rows)
    # Trainer's own search for parameters without weight decay doesn't know TorchScript modules: bring an optimizer.
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    Trainer(
        WithLoss(model.train()), arguments(3, 5e-4), train_dataset=Rows(train_file), optimizers=(optimizer, None)
    ).train()
    torch.jit.save(model.eval(), output)
    print(f"accuracy {before:.4f} {accuracy(torch.jit.load(output), rows):.4f}")


if __name__ == "__main__":
    {"make": make, "train": train}[sys.argv[1]](*sys.argv[2:])
