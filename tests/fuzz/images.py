"""Damaged image files: reading one must return pixels or raise ImageReadError."""

import collections
import hashlib
import io
import multiprocessing
import resource
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image
from skimage import data

from imgfeat import ImageReadError
from imgfeat.images.decoding import FORMATS, find_damage, read_image

from .mutations import mutate

BATCH = 100
MAX_PIXELS = 2**20
# Limit on the memory of a process that reads such files; the libraries alone take about 250 MB.
MAX_MEMORY = 1_500 * 2**20
MAX_SECONDS = 300
COLOR = data.coffee()[100:148, 200:264]
GRAY = COLOR[..., 1]
RANGES = ("dtype", "dtype", "image", (10, 200.5), ("1%", "99%"))


class Damaged(NamedTuple):
    """A damaged file: the name of the original, the content, and how it is read."""

    seed: str
    content: bytes
    color: str
    value_range: object
    strict: bool
    look: str


def fuzz(rng, deadline=None, n=None):
    """Read damaged image files until the deadline, or `n` of them, and count the outcomes.

    Parameters
    ----------
    rng : numpy.random.Generator
    deadline : float, default=None
        A value of ``time.monotonic``.
    n : int, default=None

    Returns
    -------
    outcomes : collections.Counter

    Raises
    ------
    AssertionError
        If a file raises another exception, gives an invalid array, or ends the process.
    """
    seeds = list(make_seeds().items())
    outcomes = collections.Counter()
    executor = _start()
    try:
        while (n is None or outcomes.total() < n) and not _is_over(deadline):
            size = BATCH if n is None else min(BATCH, n - outcomes.total())
            batch = [_damage(*seeds[rng.integers(len(seeds))], rng) for _ in range(size)]
            try:
                counted, bad = executor.submit(_try_all, batch).result(timeout=MAX_SECONDS)
            except (BrokenProcessPool, TimeoutError):
                executor.shutdown(wait=False, cancel_futures=True)
                executor = _start()
                counted, bad = {}, _find_fatal(batch)
            outcomes.update(counted)
            assert bad is None, _report(*bad)
    finally:
        executor.shutdown()
    return outcomes


def make_seeds():
    """Return the content of one valid file of each supported kind, by name."""
    color, gray = Image.fromarray(COLOR), Image.fromarray(GRAY)
    palette = color.quantize(32)
    deep = GRAY.astype(np.uint16) * 16
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x0100: 64, 0x011A: 72.0, 0x0131: "imgfeat"})
    exif[0x8769] = {0x829A: 0.01, 0x9003: "2024:01:01 00:00:00"}
    turned = {"save_all": True, "append_images": [color.transpose(Image.Transpose.ROTATE_180)]}
    seeds = {
        "jpeg": _encode(color, "JPEG", exif=exif),
        "jpeg-progressive": _encode(color, "JPEG", progressive=True),
        "jpeg-gray": _encode(gray, "JPEG"),
        "jpeg-cmyk": _encode(color.convert("CMYK"), "JPEG"),
        "mpo": _encode(color, "MPO", **turned),
        "png": _encode(color, "PNG", exif=exif),
        "png-palette": _encode(palette, "PNG", transparency=3),
        "png-alpha": _encode(color.convert("LA"), "PNG"),
        "png-16": _encode(Image.fromarray(deep), "PNG"),
        "apng": _encode(color, "PNG", **turned),
        "webp": _encode(color, "WEBP", exif=exif),
        "webp-lossless": _encode(color.convert("RGBA"), "WEBP", lossless=True),
        "webp-frames": _encode(color, "WEBP", **turned),
        "bmp": _encode(color, "BMP"),
        "bmp-palette": _encode(palette, "BMP"),
        "gif": _encode(palette, "GIF", transparency=2),
        "gif-frames": _encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "tiff-bilevel": _encode(gray.convert("1"), "TIFF", compression="group4"),
        "tiff-jpeg": _encode(color, "TIFF", compression="jpeg"),
        "tiff-lzw": _encode(color, "TIFF", compression="tiff_lzw"),
        "tiff-palette": _encode(palette, "TIFF"),
        "tiff-cmyk": _encode(color.convert("CMYK"), "TIFF", compression="packbits"),
        "tiff-16": _write_tiff(deep, photometric="miniswhite", byteorder=">"),
        "tiff-16-color": _write_tiff(COLOR.astype(np.uint16) * 257, compression="zlib"),
        "tiff-planes": _write_tiff(np.moveaxis(COLOR / 255, 2, 0), planarconfig="separate"),
        "tiff-tiles": _write_tiff(COLOR / np.float32(255), tile=(16, 32), compression="zlib"),
        "tiff-signed": _write_tiff(deep.astype(np.int16) - 50),
        "ppm": _encode(color, "PPM"),
        "pgm": _encode(gray, "PPM"),
        "pgm-12": b"P5 64 48 4095\n" + deep.astype(">u2").tobytes(),
        "pgm-plain": b"P2\n# words\n64 48\n255\n" + b" ".join(b"%d" % v for v in GRAY.flat),
        "pbm": _encode(gray.convert("1"), "PPM"),
        "pfm": b"Pf\n64 48\n-1.0\n" + (GRAY / np.float32(255)).tobytes(),
    }
    if "AVIF" in FORMATS:
        seeds["avif"] = _encode(color, "AVIF")
    return seeds


def check(damaged):
    """Return the outcome of reading one file; raise AssertionError if the array is invalid."""
    options = {"color": damaged.color, "max_pixels": MAX_PIXELS, "value_range": damaged.value_range}
    with warnings.catch_warnings():
        warnings.simplefilter("error" if damaged.strict else "ignore")
        try:
            if damaged.look == "damage":
                sentence = find_damage(damaged.content)
                assert sentence is None or isinstance(sentence, str)
                return "looked at"
            source = damaged.content
            if damaged.look == "pillow":
                try:
                    source = Image.open(io.BytesIO(source), formats=FORMATS)
                except Exception:  # an error of Pillow itself, before imgfeat reads the file
                    return "not opened"
            pixels = read_image(source, **options)
        except ImageReadError as error:
            return "refused" if "Cannot read image <" in str(error) else f"unnamed: {error}"
    channels = (3,) if damaged.color == "rgb" else ()
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == channels
    assert pixels.ndim == 2 + len(channels)
    assert 1 <= pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    return "read"


def _try_all(batch):
    """Run in a child process: return the outcomes of a batch, and the first failure."""
    outcomes = collections.Counter()
    for damaged in batch:
        try:
            outcomes[check(damaged)] += 1
        except Exception as error:
            return outcomes, (damaged, repr(error))
    memory = _measure_peak()
    return outcomes, (batch[-1], f"{memory} bytes of memory") if memory > MAX_MEMORY else None


def _measure_peak():
    """Return the peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss includes the parent process before fork.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _find_fatal(batch):
    for damaged in batch:
        executor = _start()
        try:
            _, bad = executor.submit(_try_all, [damaged]).result(timeout=MAX_SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            bad = damaged, repr(error)
        executor.shutdown(wait=False, cancel_futures=True)
        if bad is not None:
            return bad
    return batch[-1], "the process ended or hung, but not on one input alone"


def _start():
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _damage(name, content, rng):
    return Damaged(
        name,
        mutate(content, rng),
        "gray" if rng.random() < 0.3 else "rgb",
        RANGES[rng.integers(len(RANGES))],
        strict=rng.random() < 0.5,
        look="damage" if rng.random() < 0.1 else "pillow" if rng.random() < 0.1 else "read",
    )


def _is_over(deadline):
    return deadline is not None and time.monotonic() > deadline


def _report(damaged, cause):
    name = f"imgfeat-fuzz-{hashlib.sha256(damaged.content).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir()) / name
    path.write_bytes(damaged.content)
    return f"{damaged._replace(content=b'')} saved as {path}: {cause}"


def _encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _write_tiff(pixels, **options):
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()
