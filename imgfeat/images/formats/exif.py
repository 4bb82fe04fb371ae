"""Reading of the EXIF orientation, independent of other tags, which may be damaged."""

import struct

from PIL import ExifTags, Image

ORIENTATION = int(ExifTags.Base.Orientation)
SHORT, LONG = 3, 4


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, 1 to 8; 1 if it cannot be read."""
    orientation = parse_orientation(image.info.get("exif"))
    if orientation is None:
        try:
            # Pillow also looks in other places, such as XMP.
            orientation = image.getexif().get(ORIENTATION, 1)
        except Exception:  # damaged tags raise many classes; the pixels are intact
            return 1
    return int(orientation) if orientation in range(1, 9) else 1


def parse_orientation(block: object) -> int | None:
    """Return the orientation in an EXIF block, or None."""
    if not isinstance(block, bytes):
        return None
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (n_entries,) = struct.unpack_from(order + "H", block, start)
        for number in range(n_entries):
            tag, kind, count = struct.unpack_from(order + "HHI", block, start + 2 + 12 * number)
            if tag == ORIENTATION and kind in (SHORT, LONG) and count == 1:
                form = order + ("H" if kind == SHORT else "I")
                return int(struct.unpack_from(form, block, start + 10 + 12 * number)[0])
    except struct.error:
        pass
    return None
