"""TIFF files: their grey levels and pages."""

from typing import Any, NamedTuple

from PIL import Image, TiffImagePlugin

from app.errors import InvalidData

BITS, PHOTOMETRIC, SUBFILE_TYPE, SAMPLE_FORMAT = 258, 262, 254, 339
WHITE_IS_ZERO = 0
REDUCED_OR_MASK = 0b101  # bits of the subfile type: a thumbnail or a mask of another page
FORMATS = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
MAX_PAGES = 1000  # counted
ACCEPTED = "supported are unsigned samples of 1 to 16 bits"

# Pillow reads these formats but does not list them.
for order, photometric, bits, mode in (
    (b"MM", WHITE_IS_ZERO, 16, ("I;16B", "I;16B")),
    (b"II", WHITE_IS_ZERO, 12, ("I;16", "I;12")),
):
    TiffImagePlugin.OPEN_INFO.setdefault((order, photometric, (1,), 1, (bits,), ()), mode)


class GreyLevels(NamedTuple):
    """The meaning of grey values of 9 to 16 bits: the largest value, and whether 0 is white."""

    largest: int = 65535
    white_is_zero: bool = False


SIXTEEN_BITS = GreyLevels()


def grey_levels(image: Image.Image) -> GreyLevels:
    """Returns the grey levels of an open image of any format. Raises InvalidData for samples that are not unsigned."""
    tags: Any = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return SIXTEEN_BITS
    bits = max(tags.get(BITS, (1,)))
    for sample_format in tags.get(SAMPLE_FORMAT, ()):
        if sample_format in FORMATS:
            raise InvalidData(f"the TIFF file has {FORMATS[sample_format]} samples of {bits} bits; {ACCEPTED}")
    if bits > 16:
        raise InvalidData(f"the TIFF file has samples of {bits} bits; {ACCEPTED}")
    # Pillow itself inverts images of up to 8 bits.
    return GreyLevels(2**bits - 1 if bits > 8 else 65535, tags.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def page_count(image: Image.Image) -> int:
    """Counts the pages of an open TIFF file, up to MAX_PAGES. Thumbnails and masks do not count."""
    pages, index = 1, 1
    while pages < MAX_PAGES and index < MAX_PAGES:
        try:
            image.seek(index)
        except EOFError:
            break
        tags: Any = getattr(image, "tag_v2", {})
        if not tags.get(SUBFILE_TYPE, 0) & REDUCED_OR_MASK:
            pages += 1
        index += 1
    image.seek(0)
    return pages
