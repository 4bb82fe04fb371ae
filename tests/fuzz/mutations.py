"""Random changes of the bytes of a file."""

import numpy as np


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with a few random changes: bytes, runs, lengths, cuts and repetitions."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not damaged:
            return bytes(damaged)
        start = int(rng.integers(len(damaged)))
        # Half of the changes are in the header, which affects decoding most.
        if rng.random() < 0.5:
            start = int(rng.integers(min(len(damaged), 256)))
        length = int(rng.integers(1, 17))
        kind = int(rng.integers(6))
        if kind == 0:
            damaged[start] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            damaged[start : start + length] = rng.bytes(length)
        elif kind == 2:
            damaged[start : start + length] = bytes([int(rng.choice([0, 255]))]) * length
        elif kind == 3:
            del damaged[start : start + length]
        elif kind == 4:
            damaged[start:start] = damaged[start : start + length]
        elif rng.random() < 0.2:
            del damaged[start:]
    return bytes(damaged)
