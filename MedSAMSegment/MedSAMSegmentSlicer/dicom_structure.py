"""Whether a DICOM file is made of elements from its first byte to its last, before a decoder tries to make sense of it.

GDCM searches a file whose lengths do not fit for something to read: minutes, and gigabytes of memory, for a file of
a few kilobytes. Elements: PS3.5 7.1.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_START = 132
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG_TYPES = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_DEEPEST = 32
_IMPLICIT = "1.2.840.10008.1.2"
_OTHERWISE = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
"""Deflated, and of the other byte order: not looked at."""


def check_structure(path: Path, transfer_syntax: str) -> None:
    """Follow a file's elements by their lengths. Values are not read, nested elements only where a length is undefined.

    Args:
        path: of a file with a preamble.
        transfer_syntax: UID, as the file says.

    Raises:
        ValueError: an element goes beyond the end of the file, or there is none where one must be.
    """
    if transfer_syntax in _OTHERWISE:
        return
    # Not memory-mapped: a file that another program shortens meanwhile would end the process.
    with path.open("rb") as file:
        if _take(file, _START - 4, 4) == b"DICM":
            _elements(file, _START, path.stat().st_size, transfer_syntax == _IMPLICIT, depth=0)


def _take(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _elements(file: BinaryIO, at: int, end: int, is_implicit: bool, depth: int) -> int:
    """The place behind the elements: the end of the file at depth 0, else behind the item's end."""
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} times")
    while at + 8 <= end:
        start = _take(file, at, 12)
        tag = struct.unpack_from("<HH", start)
        if tag == _ITEM_END and depth:
            return at + 8
        kind = start[4:6]
        if is_implicit and (tag[0] > 2 or depth):
            kind, (length,), at = b"", struct.unpack_from("<I", start, 4), at + 8
        elif kind in _LONG_TYPES and at + 12 <= end:
            (length,), at = struct.unpack_from("<I", start, 8), at + 12
        elif kind.isalpha() and kind.isupper():
            (length,), at = struct.unpack_from("<H", start, 6), at + 8
        elif depth == 0 and not any(_take(file, at, end - at)):
            return end  # zeros as padding, which some archives append
        else:
            raise ValueError(f"there is no element at byte {at:,}")
        if length == _UNDEFINED:
            at = _items(file, at, end, is_implicit or kind == b"UN", depth)
        elif length > end - at:
            raise ValueError(f"the element {tag[0]:04x},{tag[1]:04x} goes beyond the end of the file")
        else:
            at += length
    return end


def _items(file: BinaryIO, at: int, end: int, is_implicit: bool, depth: int) -> int:
    """The place behind a sequence, or behind the fragments of compressed pixels, of undefined length."""
    while at + 8 <= end:
        *tag, length = struct.unpack("<HHI", _take(file, at, 8))
        at += 8
        if tuple(tag) == _SEQUENCE_END:
            return at
        if tuple(tag) != _ITEM:
            raise ValueError(f"there is no item at byte {at - 8:,}")
        if length == _UNDEFINED:
            at = _elements(file, at, end, is_implicit, depth + 1)
        elif length > end - at:
            raise ValueError(f"an item at byte {at - 8:,} goes beyond the end of the file")
        else:
            at += length
    raise ValueError("a sequence has no end")
