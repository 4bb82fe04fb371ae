"""Load exported files and predict with them; a child process, since a file may end it.

Run as a script with the paths of the files. It prints two lines per file: "read" with the number
of the file, and "got" with the outcome.
"""

import sys

import numpy as np

from imgfeat import ModelFileError
from imgfeat.export import load_onnx

N_IMAGES = 5


def make_images() -> list[np.ndarray]:
    """Return images of two sizes."""
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (20, 45)] * N_IMAGES
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes[:N_IMAGES]]


def describe(path: str) -> str:
    """Return the outputs of a file as text, or "refused" for ModelFileError."""
    try:
        served = load_onnx(path)
        outputs = served.run(make_images())
        if "label" in outputs:
            served.score(make_images(), outputs["label"])
            assert len(served.classes_)
    except ModelFileError as error:
        return "error in two lines" if "\n" in str(error) else "refused"
    values = [value for name, value in outputs.items() if name != "label"]
    return "".join([*map(str, outputs.get("label", [])), *(v.tobytes().hex() for v in values)])


if __name__ == "__main__":
    for number, path in enumerate(sys.argv[1:]):
        print("read", number, flush=True)
        try:
            outcome = describe(path)
        except Exception as error:
            outcome = f"error {type(error).__name__}: {error}"
        print("got", ascii(outcome), flush=True)
