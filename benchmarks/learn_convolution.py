"""The engine's digits CNN beside the same network in PyTorch on the CPU: time an epoch, both in one run.

    python benchmarks/learn_convolution.py [--epochs 5] [--threads 1] [--json]

Equal: layers, start weights, data, batch size 32, Adam 2e-3, float32, BLAS threads. The two sides take turns, epoch by
epoch, so that a busy machine is busy for both; the first turn warms up and is not counted. The loss of both after
the last epoch is printed too: the work is the same, not only the time.
Also: the accuracy of `manako.learn.cnn.learn_digits` on held-out digits, over three seeds, and its seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def twin(network, torch):  # type: ignore[no-untyped-def]
    """The same network in PyTorch, with the same start weights."""
    nn = torch.nn
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    with torch.no_grad():
        for ours, theirs in zip(network.parameters().values(), model.parameters(), strict=True):
            theirs.copy_(torch.tensor(ours))
    return model


def measure(epochs: int, threads: int) -> dict[str, float]:
    import numpy as np
    import torch

    from manako.learn import cnn
    from manako.learn.digits import digits
    from manako.learn.optimisers import Adam

    torch.set_num_threads(threads)
    data, size = digits(dtype=np.float32), 32
    network = cnn.build(rng=np.random.default_rng(0), dtype=np.float32)
    model, optimiser = twin(network, torch), Adam(2e-3)
    reference = torch.optim.Adam(model.parameters(), lr=2e-3)
    images, labels = torch.tensor(data.images), torch.tensor(data.labels)
    starts = range(0, len(data.images), size)

    def ours() -> float:
        for s in starts:
            loss = network.learn(data.images[s : s + size], data.labels[s : s + size], optimiser).loss
        return loss

    def theirs() -> float:
        for s in starts:
            reference.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images[s : s + size]), labels[s : s + size])
            loss.backward()
            reference.step()
        return float(loss.detach())

    times: tuple[list[float], list[float]] = ([], [])
    losses = [0.0, 0.0]
    for _ in range(epochs + 1):
        for side, run in enumerate((ours, theirs)):
            begun = time.perf_counter()
            losses[side] = run()
            times[side].append(time.perf_counter() - begun)
    seconds = [statistics.median(side[1:]) for side in times]
    return {
        "seconds_an_epoch": seconds[0], "seconds_an_epoch_torch": seconds[1], "times_torch": seconds[0] / seconds[1],
        "last_loss": losses[0], "last_loss_torch": losses[1],
    }  # fmt: skip


def main() -> None:
    options = arguments()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)  # before NumPy and PyTorch are imported
    result = measure(options.epochs, options.threads)
    from manako.learn.cnn import learn_digits

    runs = [learn_digits(seed=seed) for seed in range(3)]
    result["accuracy_lowest"] = min(r.accuracy for r in runs)
    result["seconds_highest"] = max(r.seconds for r in runs)
    print(json.dumps(result) if options.json else "\n".join(f"{key:24} {value:.4g}" for key, value in result.items()))


if __name__ == "__main__":
    main()
