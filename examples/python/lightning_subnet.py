"""Trains a subnet that torchsearch saved with Lightning, and saves it as TorchScript again.

    python lightning_subnet.py subnet.pt digits.npz tuned.pt
"""
import sys

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    """The subnet is a module like any other: its parameters are registered, `train()` and `to()` reach them."""

    def __init__(self, path):
        super().__init__()
        self.subnet = torch.jit.load(path, map_location="cpu")

    def training_step(self, batch, _):
        images, labels = batch
        loss = torch.nn.functional.cross_entropy(self.subnet(images), labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def accuracy(model, images, labels):
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def main(subnet, data, output, epochs=3):
    lightning.seed_everything(0)
    arrays = {name: torch.from_numpy(array) for name, array in np.load(data).items()}
    train = TensorDataset(arrays["train_images"], arrays["train_labels"].long())
    model = Classifier(subnet)
    test = arrays["test_images"], arrays["test_labels"].long()
    before = accuracy(model.subnet.eval(), *test)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model.train(), DataLoader(train, batch_size=64, shuffle=True))
    torch.jit.save(model.subnet.eval(), output)
    print(f"accuracy {before:.4f} {accuracy(torch.jit.load(output), *test):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
