"""Damage files as chance, bad disks and bad intentions do: each mutator takes contents and a random generator."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]

ODD_NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 2**31 - 1, 2**31, -(2**31), 2**32, 2**63, 9 * 10**18, 10**40, 1e308, -1e308, 1e-320, 1e-30, 0.1,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "%s%n%d", "%99999999d", "../../../etc/passwd", "/", "\x00", "\x1b[31mred\x1b[0m", "[/]", "[bold]",
    "<b>x</b>", "=1+1", "ä\u202e\U0001f9e0", "\ud800", "x" * 5000, "(" * 300, "-", "1e", "0x10", "1,2,3", "None",
    "true", "\n", "\r\n",
)  # fmt: skip


def any_bytes(contents: bytes, random: Random) -> bytes:
    """One to eight changes of bits, bytes and runs of bytes anywhere, most of them near the beginning."""
    data = bytearray(contents)
    for _ in range(random.choice((1, 1, 1, 2, 4, 8))):
        at = _place(len(data), random)
        length = random.choice((1, 2, 4, 8, 64))
        match random.randrange(7):
            case 0 if data:
                data[at] ^= 1 << random.randrange(8)
            case 1 if data:
                data[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                data[at : at + length] = random.randbytes(length)
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length] * random.choice((1, 1, 2, 50))
            case 5:
                del data[at:]
            case _:
                data[at:at] = _encoded(random.choice(ODD_TEXTS))
    return bytes(data)


def _place(size: int, random: Random) -> int:
    """Headers stand first, and are where damage is most interesting."""
    return random.randrange(max(1, min(size, random.choice((16, 128, 512, 4096, size or 1)))))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogatepass")


def _odd(random: Random) -> str:
    return str(random.choice(ODD_NUMBERS)) if random.random() < 0.6 else random.choice(ODD_TEXTS)


def text_header(end: bytes, separator: str) -> Mutator:
    """For headers of lines ``name<separator>values``, such as those of NRRD and MetaImage.

    Args:
        end: where the header ends; what follows are the voxels.
        separator: between a field's name and its values.
    """

    def mutate(contents: bytes, random: Random) -> bytes:
        head, mark, voxels = contents.partition(end)
        lines = head.decode("latin-1").split("\n")
        for _ in range(random.choice((1, 1, 2, 3))):
            at = random.randrange(len(lines))
            name, colon, values = lines[at].partition(separator)
            words = re.split(r"([ ,()]+)", values)
            match random.randrange(7):
                case 0:
                    del lines[at]
                    lines = lines or [""]
                case 1:
                    lines.insert(at, lines[random.randrange(len(lines))])
                case 2:
                    lines[at] = f"{name}{colon}{_odd(random)}"
                case 3:
                    words.insert(random.randrange(len(words) + 1), f" {_odd(random)}")
                    lines[at] = f"{name}{colon}{''.join(words)}"
                case 4:
                    lines[at] = f"{_odd(random)}{colon}{values}"
                case _:
                    words[random.randrange(len(words))] = _odd(random)
                    lines[at] = f"{name}{colon}{''.join(words)}"
        changed = _encoded("\n".join(lines)) + mark + voxels
        return any_bytes(changed, random) if random.random() < 0.1 else changed

    return mutate


_NIFTI_FIELDS = (
    (0, "i"), *((40 + 2 * n, "h") for n in range(8)), (68, "h"), (70, "h"), (72, "h"),
    *((76 + 4 * n, "f") for n in range(8)),
    (108, "f"), (112, "f"), (116, "f"), (123, "B"), (252, "h"), (254, "h"), *((256 + 4 * n, "f") for n in range(6)),
    *((280 + 4 * n, "f") for n in range(12)), (344, "I"), (348, "I"),
)  # fmt: skip
"""Offset and type of NIfTI-1's numbers: sizes, types, spacing, scale, codes, quaternion, matrix, magic, extension."""


def nifti(contents: bytes, random: Random) -> bytes:
    """Fields of a NIfTI-1 header."""
    data = bytearray(contents)
    for _ in range(random.choice((1, 1, 2, 3))):
        offset, kind = random.choice(_NIFTI_FIELDS)
        size = struct.calcsize(kind)
        value = random.choice((*ODD_NUMBERS, 2, 3, 4, 7, 16, 64, 128, 512, 1024, 2304))
        try:
            data[offset : offset + size] = struct.pack(f"<{kind}", value if kind == "f" else int(value))
        except (struct.error, OverflowError, ValueError):
            data[offset : offset + size] = random.randbytes(size)
    return any_bytes(bytes(data), random) if random.random() < 0.2 else bytes(data)


def packed(inner: Mutator) -> Mutator:
    """For gzip: damage inside of it, or to it."""

    def mutate(contents: bytes, random: Random) -> bytes:
        if random.random() < 0.3:
            return any_bytes(contents, random)
        changed = inner(gzip.decompress(contents), random)
        return changed if random.random() < 0.05 else gzip.compress(changed, 1, mtime=0)

    return mutate


def json_text(contents: bytes, random: Random) -> bytes:
    """Values, names and structure of JSON."""
    document = json.loads(contents)
    for _ in range(random.choice((1, 1, 2, 3))):
        document = _changed(document, random)
    text = json.dumps(document, ensure_ascii=random.random() < 0.5)
    match random.randrange(12):
        case 0:
            return any_bytes(_encoded(text), random)
        case 1:
            return text.encode(random.choice(("utf-16", "utf-32", "utf-8-sig")), errors="replace")
        case 2:
            return b"[" * random.choice((500, 100_000)) + _encoded(text)
    return _encoded(text)


def _changed(document: Any, random: Random) -> Any:
    """A document with one change, at a node that is picked by walking down."""
    children = (
        list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    )
    if children and random.random() < 0.85:
        key = random.choice(list(children))
        copied = document.copy()
        match random.randrange(12):
            case 0:
                del copied[key]
            case 1 if isinstance(copied, dict):
                copied[random.choice(ODD_TEXTS)] = copied.pop(key)
            case 1 | 2 if isinstance(copied, list):
                copied.extend([copied[key]] * random.choice((1, 2, 1000)))
            case _:
                copied[key] = _changed(copied[key], random)
        return copied
    match random.randrange(10):
        case 0:
            return {}
        case 1:
            return []
        case 2:
            return None
        case 3:
            return [document]
        case 4:
            return {"": document}
        case 5:
            return not document
        case 6:
            nested: Any = document
            for _ in range(250):  # three times, at most, is less than what Python itself can write
                nested = [nested]
            return nested
        case 7:
            return random.choice(ODD_TEXTS)
        case _:
            return random.choice(ODD_NUMBERS)


def safetensors(contents: bytes, random: Random) -> bytes:
    """The JSON header of safetensors, its length, or the tensors."""
    if random.random() < 0.3:
        return any_bytes(contents, random)
    (length,) = struct.unpack_from("<Q", contents)
    header = json_text(contents[8 : 8 + length], random)
    said = random.choice(ODD_NUMBERS[:9]) if random.random() < 0.1 else len(header)
    return struct.pack("<Q", abs(said) % 2**64) + header + contents[8 + length :]


def archive(contents: bytes, random: Random) -> bytes:
    """Members of a zip archive: a wheel's, or those of torch's files, whose pickle is one of them."""
    if random.random() < 0.3:
        return any_bytes(contents, random)
    with zipfile.ZipFile(io.BytesIO(contents)) as source:
        members = [(name, source.read(name)) for name in source.namelist()]
    for _ in range(random.choice((1, 1, 2))):
        at = next((n for n, (name, _) in enumerate(members) if name.endswith("data.pkl")), 0)
        at = at if random.random() < 0.5 else random.randrange(len(members))
        name, data = members[at]
        match random.randrange(6):
            case 0 if len(members) > 1:
                del members[at]
            case 1:
                members.append(members[at])
            case 2:
                members[at] = (random.choice(("../x", "/etc/x", name + "x", "constants.pkl", "code/a.py")), data)
            case 3:
                root = name.split("/")[0]
                members.append(
                    (f"{root}/{random.choice(('constants.pkl', 'code/__torch__.py', '.format_version'))}", data)
                )
            case _:
                members[at] = (name, any_bytes(data, random))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as target:
        for name, data in dict(members).items() if random.random() < 0.5 else members:
            target.writestr(zipfile.ZipInfo(name), data, target.compression)
    return made.getvalue()


_LONG_DICOM_VALUES = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"OD", b"OL", b"UC", b"UR")


def dicom(contents: bytes, random: Random) -> bytes:
    """Elements of a DICOM file in explicit VR little endian."""
    elements = _dicom_elements(contents)
    if random.random() < 0.15 or not elements:
        return any_bytes(contents, random)
    data = contents
    for _ in range(random.choice((1, 1, 2))):
        start, value, end = random.choice(elements)
        if end > len(data) or data[start : start + 2] != contents[start : start + 2]:
            continue  # something before it has changed its length
        match random.randrange(8):
            case 0:
                data = data[:start] + data[end:]
            case 1:
                data = data[:end] + data[start:end] + data[end:]
            case 2:
                data = data[: start + 4] + random.choice((b"OB", b"SQ", b"US", b"DS", b"??", b"UN")) + data[start + 6 :]
            case 3:
                length = struct.pack("<H", random.choice((0, 1, 0xFFFE, 0xFFFF, random.randrange(0xFFFF))))
                data = data[: value - 2] + length + data[value:]
            case 4:
                data = data[:value] + random.randbytes(end - value) + data[end:]
            case _:
                text = "\\".join(_odd(random) for _ in range(random.choice((1, 1, 2, 3, 6))))
                new = _encoded(text)[:9000]
                new += b" " * (len(new) % 2)
                if data[start + 4 : start + 6] in (b"US", b"SS", b"UL", b"SL", b"FD", b"FL"):
                    new = (
                        struct.pack("<d", 1e308)[: end - value]
                        if random.random() < 0.3
                        else random.randbytes(end - value)
                    )
                if data[start + 4 : start + 6] in _LONG_DICOM_VALUES:
                    continue
                data = data[: value - 2] + struct.pack("<H", len(new)) + new + data[end:]
    return data


def _dicom_elements(contents: bytes) -> list[tuple[int, int, int]]:
    """Where each element, its value and its end are; those of sequences in a row."""
    found = []
    at = 132
    while at + 8 <= len(contents):
        kind = contents[at + 4 : at + 6]
        if not kind.isalpha():  # an item of a sequence, or its end
            at += 8
            continue
        if kind in _LONG_DICOM_VALUES:
            value = at + 12
            (length,) = struct.unpack_from("<I", contents, at + 8)
        else:
            value = at + 8
            (length,) = struct.unpack_from("<H", contents, at + 6)
        if kind == b"SQ":
            at = value
            continue
        if value + length > len(contents):
            break
        found.append((at, value, value + length))
        at = value + length
    return found
