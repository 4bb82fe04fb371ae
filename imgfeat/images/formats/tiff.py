"""Reading of TIFF images as stored: any bit depth, signed, floating point, planes or tiles."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from imgfeat.images.pixel_values import Stored

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 277, 278, 279
MIN_SAMPLE, MAX_SAMPLE, PLANAR, PREDICTOR = 280, 281, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
EXTRA_SAMPLES, SAMPLE_FORMAT, S_MIN_SAMPLE, S_MAX_SAMPLE = 338, 339, 340, 341
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4
DEFLATE = (8, 32946)
# Compressions of byte streams that libtiff decodes: LZW, PackBits, LZMA, Zstandard.
BYTEWISE = (5, 32773, 34925, 50000)
__all__ = [
    "TiffImageFile",
    "check_segments",
    "describe_pixels",
    "get_size",
    "is_deep",
    "read_tags",
    "read_tiff",
]

# Size in bytes of the largest strip passed to Pillow, below its own limit on pixels.
MAX_SEGMENT = 2**26


def read_tags(file: BinaryIO) -> ImageFileDirectory_v2:
    """Return the tags of a file's first image, also where Pillow does not support the image."""
    file.seek(0)
    header = file.read(8)
    if header[2:3] == b"+":
        header += file.read(8)
    tags = ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return tags


def get_size(tags: ImageFileDirectory_v2) -> tuple[int, int]:
    """Return width and height as stored, before the EXIF orientation is applied."""
    return _get_number(tags, WIDTH), _get_number(tags, HEIGHT)


def is_deep(tags: ImageFileDirectory_v2) -> bool:
    """Return whether pixels have more than 8 bits, or are signed or floating point."""
    formats = _list_numbers(tags, SAMPLE_FORMAT, (UNSIGNED,))
    return max(_list_numbers(tags, BITS, (1,))) > 8 or not {*formats} <= {UNSIGNED, UNDEFINED}


def describe_pixels(pixels: NDArray[Any], tags: ImageFileDirectory_v2) -> Stored:
    """Describe the values of one band, decoded by Pillow, according to the tags."""
    bits, sample_format = _get_number(tags, BITS, 1), _get_number(tags, SAMPLE_FORMAT, UNSIGNED)
    if pixels.dtype == np.int32 and sample_format == UNSIGNED and bits == 32:
        pixels = pixels.view(np.uint32)
    elif pixels.dtype == np.int32 and sample_format == SIGNED and bits == 16:
        pixels = pixels.astype(np.int16)
    elif pixels.dtype == np.uint8 and sample_format == SIGNED:
        pixels = pixels.view(np.int8)
    inverted = _get_number(tags, PHOTOMETRIC, BLACK_IS_ZERO) == WHITE_IS_ZERO
    return _describe(pixels, tags, bits, inverted, alpha=None)


def read_tiff(file: BinaryIO, tags: ImageFileDirectory_v2, max_bytes: int) -> Stored:
    """Decode the first image of a TIFF file.

    Parameters
    ----------
    file : binary file
    tags : ImageFileDirectory_v2
    max_bytes : int
        Larger images are refused before memory is allocated for them.

    Returns
    -------
    stored : Stored

    Raises
    ------
    ValueError
        If the image is damaged or of an unsupported kind.
    """
    layout = _find_layout(tags)
    n_bytes = layout.height * layout.width * layout.samples * layout.dtype.itemsize
    if n_bytes > max_bytes:
        raise ValueError(f"its pixels take {n_bytes} bytes, more than max_pixels allows")
    photometric = _get_number(tags, PHOTOMETRIC, BLACK_IS_ZERO)
    bands = _choose_bands(tags, layout.samples, photometric)
    pixels = _read_segments(file, tags, layout)
    alpha = bands.alpha
    pixels = pixels[..., : bands.colors + (alpha is not None)]
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return _describe(pixels, tags, layout.bits, photometric == WHITE_IS_ZERO, alpha)


class _Layout(NamedTuple):
    height: int
    width: int
    samples: int
    bits: int
    dtype: np.dtype
    planar: bool
    compression: int
    predictor: int
    byte_order: Literal["<", ">"]


class _Bands(NamedTuple):
    colors: int
    alpha: str | None


def _find_layout(tags: ImageFileDirectory_v2) -> _Layout:
    height, width = _get_number(tags, HEIGHT), _get_number(tags, WIDTH)
    samples = _get_number(tags, SAMPLES, 1)
    depths = set(_list_numbers(tags, BITS, (1,)))
    formats = set(_list_numbers(tags, SAMPLE_FORMAT, (UNSIGNED,)))
    if min(height, width, samples) < 1 or len(depths) != 1 or len(formats) != 1:
        raise ValueError(f"{height} x {width} pixels of {samples} bands, bits {sorted(depths)}")
    if _get_number(tags, FILL_ORDER, 1) != 1:
        raise ValueError("its bits are stored in reverse order (FillOrder 2)")
    bits, sample_format = depths.pop(), formats.pop()
    return _Layout(
        height,
        width,
        samples,
        bits,
        _choose_dtype(bits, sample_format),
        planar=_get_number(tags, PLANAR, 1) == 2 and samples > 1,
        compression=_get_number(tags, COMPRESSION, 1),
        predictor=_get_number(tags, PREDICTOR, 1),
        byte_order="<" if tags.prefix == b"II" else ">",
    )


def _choose_dtype(bits: int, sample_format: int) -> np.dtype:
    if sample_format == FLOAT and bits in (16, 32, 64):
        return np.dtype(f"f{bits // 8}")
    if sample_format == SIGNED and bits in (8, 16, 32, 64):
        return np.dtype(f"i{bits // 8}")
    if sample_format in (UNSIGNED, UNDEFINED) and (1 <= bits <= 32 or bits == 64):
        return np.dtype(f"u{next(size for size in (1, 2, 4, 8) if size * 8 >= bits)}")
    kinds = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
    kind = kinds.get(sample_format)
    raise ValueError(f"pixels of {bits} bits, {kind or f'SampleFormat {sample_format}'}")


def _choose_bands(tags: ImageFileDirectory_v2, samples: int, photometric: int) -> _Bands:
    """Find colours and alpha among the bands; raise an error if their meaning is unknown."""
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise ValueError(f"unsupported colour space (PhotometricInterpretation {photometric})")
    colors = 3 if photometric == RGB else 1
    extra = _list_numbers(tags, EXTRA_SAMPLES, ())
    if samples < colors or (photometric != RGB and samples > 2):
        raise ValueError(
            f"it has {samples} bands without stating which are red, green and blue. Choose "
            "three of them, or one, and pass arrays: skimage.io.imread(path)[..., [2, 1, 0]]"
        )
    kind = {1: "associated", 2: "unassociated"}.get(extra[0] if extra else 0)
    return _Bands(colors, kind if samples > colors else None)


def _describe(
    pixels: NDArray[Any],
    tags: ImageFileDirectory_v2,
    bits: int,
    inverted: bool,
    alpha: str | None,
) -> Stored:
    unsigned = pixels.dtype.kind == "u"
    low = _find_limit(tags, (S_MIN_SAMPLE, MIN_SAMPLE), min)
    high = _find_limit(tags, (S_MAX_SAMPLE, MAX_SAMPLE), max)
    limits = None if high is None else (0.0 if unsigned or low is None else low, high)
    return Stored(pixels, min(bits, pixels.dtype.itemsize * 8), limits, inverted, alpha)


def _find_limit(
    tags: ImageFileDirectory_v2,
    names: tuple[int, int],
    choose: Callable[[Iterable[float]], float],
) -> float | None:
    for name in names:
        try:
            values = tags.get(name)
            if values is not None:
                numbers = values if isinstance(values, tuple) else (values,)
                return float(choose(float(number) for number in numbers))
        except Exception:  # damaged tags raise many classes; the tag is ignored
            continue
    return None


def check_segments(tags: ImageFileDirectory_v2) -> None:
    """Raise ValueError if a file has fewer strips or tiles than its image size requires."""
    height, width = _find_segment_shape(tags)
    rows, columns = _get_number(tags, HEIGHT), _get_number(tags, WIDTH)
    planes = _get_number(tags, SAMPLES, 1) if _get_number(tags, PLANAR, 1) == 2 else 1
    n_needed = planes * -(-rows // height) * -(-columns // width)
    n_there = len(_list_numbers(tags, _choose_tag(tags, STRIP_OFFSETS, TILE_OFFSETS)))
    if n_there < n_needed:
        raise ValueError(f"it has {n_there} strips or tiles where {n_needed} are needed")


def _find_segment_shape(tags: ImageFileDirectory_v2) -> tuple[int, int]:
    if TILE_OFFSETS in tags:
        height, width = _get_number(tags, TILE_HEIGHT), _get_number(tags, TILE_WIDTH)
    else:
        rows = _get_number(tags, HEIGHT)
        height, width = min(_get_number(tags, ROWS_PER_STRIP, rows), rows), _get_number(tags, WIDTH)
    if min(height, width) < 1:
        raise ValueError("strips or tiles without pixels")
    return height, width


def _choose_tag(tags: ImageFileDirectory_v2, of_strips: int, of_tiles: int) -> int:
    return of_tiles if TILE_OFFSETS in tags else of_strips


def _read_segments(file: BinaryIO, tags: ImageFileDirectory_v2, layout: _Layout) -> NDArray[Any]:
    """Decode all strips or tiles into one array (h, w, samples)."""
    check_segments(tags)
    tiled = TILE_OFFSETS in tags
    height, width = _find_segment_shape(tags)
    places = itertools.product(
        range(layout.samples if layout.planar else 1),
        range(0, layout.height, height),
        range(0, layout.width, width),
    )
    offsets = _list_numbers(tags, _choose_tag(tags, STRIP_OFFSETS, TILE_OFFSETS))
    counts = _list_numbers(tags, _choose_tag(tags, STRIP_COUNTS, TILE_COUNTS), ())
    if 0 < len(counts) < len(offsets):
        raise ValueError(f"it has {len(offsets)} strips or tiles, but sizes of {len(counts)}")
    samples = 1 if layout.planar else layout.samples
    pixels = np.zeros((layout.height, layout.width, layout.samples), layout.dtype)
    for number, (plane, top, left) in enumerate(places):
        rows = height if tiled else min(height, layout.height - top)
        file.seek(offsets[number])
        data = file.read(counts[number] if counts else -1)
        segment = _decode_segment(data, layout, (rows, width, samples))
        target = pixels[top : top + rows, left : left + width, plane : plane + samples]
        target[...] = segment[: target.shape[0], : target.shape[1]]
    return pixels


def _decode_segment(data: bytes, layout: _Layout, shape: tuple[int, int, int]) -> NDArray[Any]:
    rows, width, samples = shape
    row_bytes = -(-width * samples * layout.bits // 8)
    size = rows * row_bytes
    content = _decompress(data, layout.compression, rows, row_bytes)
    if len(content) < size:
        raise ValueError("the file is cut off: image data are missing")
    table = np.frombuffer(content, np.uint8, size).reshape(rows, row_bytes)
    predictor = 1 if layout.compression == 1 else layout.predictor
    if predictor == 3 and layout.dtype.kind == "f":
        return _undo_float_prediction(table, layout.dtype, width, samples)
    if layout.bits != layout.dtype.itemsize * 8:
        if predictor != 1:
            raise ValueError(f"predicted pixels of {layout.bits} bits")
        return _unpack(table, layout.bits, width * samples, layout.dtype).reshape(shape)
    kind = layout.dtype if predictor == 1 else np.dtype(f"u{layout.dtype.itemsize}")
    values = table.view(kind.newbyteorder(layout.byte_order)).reshape(shape).astype(kind)
    if predictor == 2:
        return np.cumsum(values, axis=1, dtype=kind).view(layout.dtype)
    if predictor != 1:
        raise ValueError(f"Predictor {predictor}")
    return values


def _decompress(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    if compression == 1:
        return data
    if compression in DEFLATE:
        return zlib.decompressobj().decompress(data, rows * row_bytes)
    if compression not in BYTEWISE:
        raise ValueError(f"Compression {compression}")
    if rows * row_bytes > MAX_SEGMENT:
        raise ValueError(f"a compressed strip or tile of {rows * row_bytes} bytes")
    # These compressions are of bytes, so that libtiff can decode the data in a TIFF file of 8-bit
    # pixels.
    tags = {
        WIDTH: row_bytes,
        HEIGHT: rows,
        BITS: 8,
        COMPRESSION: compression,
        PHOTOMETRIC: BLACK_IS_ZERO,
        STRIP_OFFSETS: 122,
        SAMPLES: 1,
        ROWS_PER_STRIP: rows,
        STRIP_COUNTS: len(data),
    }
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(entries) + bytes(4)
    with Image.open(io.BytesIO(header + data), formats=("TIFF",)) as image:
        return image.tobytes()


def _undo_float_prediction(
    table: NDArray[np.uint8], dtype: np.dtype, width: int, samples: int
) -> NDArray[Any]:
    """Undo Predictor 3: byte differences, with the highest bytes of all values of a row first."""
    rows, size = len(table), dtype.itemsize
    sums = np.cumsum(table.reshape(rows, -1, samples), axis=1, dtype=np.uint8)
    ordered = sums.reshape(rows, size, width * samples).transpose(0, 2, 1)
    values = np.ascontiguousarray(ordered).view(dtype.newbyteorder(">"))
    return values.reshape(rows, width, samples).astype(dtype)


def _unpack(table: NDArray[np.uint8], bits: int, n_values: int, dtype: np.dtype) -> NDArray[Any]:
    """Unpack values of any bit depth; each row begins at a byte boundary."""
    values = np.empty((len(table), n_values), dtype)
    weights = dtype.type(1) << np.arange(bits - 1, -1, -1, dtype=dtype)
    for row, packed in enumerate(table):
        digits = np.unpackbits(packed, count=n_values * bits).reshape(n_values, bits)
        values[row] = digits @ weights
    return values


def _list_numbers(
    tags: ImageFileDirectory_v2, tag: int, default: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    values = tags.get(tag, default)
    numbers = values if isinstance(values, tuple) else (values,)
    if not all(isinstance(number, int) for number in numbers) or (not numbers and default != ()):
        raise ValueError(f"tag {tag} is missing or damaged")
    return numbers


def _get_number(tags: ImageFileDirectory_v2, tag: int, default: int | None = None) -> int:
    return _list_numbers(tags, tag, None if default is None else (default,))[0]
