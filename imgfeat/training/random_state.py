"""torch's global random numbers: seeded for a while, and then as they were."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seed_torch(seed: int, device: str) -> Iterator[None]:
    """Seed the generators of the CPU and of a device; restore their state at the end.

    Parameters
    ----------
    seed : int
    device : str
        "cpu", "cuda" or "cuda:N".
    """
    place = torch.device(device)
    cards = [place.index or 0] if place.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.default_generator.manual_seed(seed)
        for card in cards:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(seed)
        yield
