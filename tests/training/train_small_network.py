"""A small training with everything random in it: shuffled batches, dropout, a schedule.

Run as a script it says a line after each step, so that its reader can end it at any one.
"""

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from graphtide.training.loop import Checkpoint, Training, train
from graphtide.training.schedule import cosine

# A killed process needs no flush to the disk, and some disks take a second for it.
os.fsync = lambda descriptor: None
EPOCHS, SIZE, BATCH = 6, 60, 10
STEPS = EPOCHS * SIZE // BATCH


def run(
    path: Path | None, name: str = "adam", *, tell=None, devices=1
) -> tuple[nn.Module, Training]:
    """Train from the same start; where there is a checkpoint, go on from it."""
    torch.manual_seed(3)
    inputs = torch.randn(SIZE, 4)
    targets = inputs.prod(dim=1, keepdim=True)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
    optimiser = (
        torch.optim.Adam(model.parameters(), lr=0.01)
        if name == "adam"
        else torch.optim.LBFGS(model.parameters(), max_iter=3, line_search_fn="strong_wolfe")
    )

    def batches(epoch, generator):
        order = generator.permutation(SIZE)
        return (torch.from_numpy(order[k : k + BATCH]) for k in range(0, SIZE, BATCH))

    def loss(rows: Tensor) -> Tensor:
        value = (model(inputs[rows]) - targets[rows]).square().mean()
        if tell is not None:
            tell()
        return value

    result = train(
        model,
        batches,
        loss,
        optimiser=optimiser,
        epochs=EPOCHS,
        schedule=cosine(STEPS, warmup=3),
        clip=1.0 if name == "adam" else None,
        score=lambda: float((model(inputs) - targets).abs().mean()),
        checkpoint=None if path is None else Checkpoint(path, 0.0, {"name": name}),
        devices=devices,
        accelerator="cpu",
    )
    return model, result


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), sys.argv[2], tell=lambda: os.write(1, b"a loss\n"))
