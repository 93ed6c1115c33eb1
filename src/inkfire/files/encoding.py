"""What a user's file is packed in or encoded as, where it is not plain UTF-8: gzip is opened, the rest is named.

>>> looks_like("Grüße".encode("utf-16")), looks_like("生日快乐".encode("gb18030"))
('UTF-16', 'GB18030')
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from inkfire.errors import DataError

_BOMS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_PACKED = {
    b"PK\x03\x04": "a zip or Excel file: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0\xa1\xb1": "an old Excel or Word file: save the sheet as CSV",
    b"BZh": "packed by bzip2: unpack it, or pack it with gzip",
    b"\xfd7zXZ": "packed by xz: unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it with gzip",
}
_MOSTLY = 0.6  # of a text's foreign characters are in the script that an encoding is for


@contextmanager
def open_data(path: str | Path) -> Iterator[IO[bytes]]:
    """A user's file, opened for reading and unpacked where it is gzip; whatever the system refuses is a DataError."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(6)
            file.seek(0)
            for magic, what in _PACKED.items():
                if head.startswith(magic):
                    raise DataError(what, path=path)
            yield cast(IO[bytes], gzip.GzipFile(fileobj=file)) if head[:2] == b"\x1f\x8b" else file
    except FileNotFoundError:
        raise DataError("no such file", path=path) from None
    except IsADirectoryError:
        raise DataError("is a folder, a file is needed", path=path) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"damaged gzip file: {error}", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def not_utf8(path: str | Path, line: int | None = None, byte: int | None = None) -> DataError:
    """The error for a file that is no UTF-8: what it seems to be, and the command that converts it."""
    with open_data(path) as file:
        raw = file.read(-1 if line is None else 1 << 20)
    seems = looks_like(raw[: 1 << 20])
    if line is None:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
    at = "" if byte is None else f" at byte {byte} of the line"
    fix = f"it looks like {seems}: iconv -f {seems} -t UTF-8 {Path(path).name} > new, and give the new file"
    return DataError(f"not UTF-8{at}; save the file as UTF-8 ({fix})", path=path, line=line)


def looks_like(raw: bytes) -> str:
    """The name of the encoding that bytes, which are no UTF-8, seem to be in: a guess, for an error message."""
    for bom, name in _BOMS:
        if raw.startswith(bom):
            return name
    if b"\0" in raw:
        return "UTF-16LE" if raw[1::2].count(0) >= raw[::2].count(0) else "UTF-16BE"
    for name, codec, script in (
        ("EUC-KR", "euc_kr", "[가-힣]"),
        ("Shift_JIS", "cp932", "[ぁ-ヺー]"),
        ("GB18030", "gb2312", "[一-鿿]"),
        ("Big5", "big5", "[一-鿿]"),
        ("GB18030", "gb18030", "[一-鿿]"),
    ):
        text = _decoded(raw, codec)
        foreign = re.findall(r"[^\W\d_a-zA-Z]", text)
        if codec == "gb18030":  # which gives a rare character for nearly any two bytes
            text = text.encode("gb2312", "ignore").decode("gb2312")
        wanted = 0.3 if name == "Shift_JIS" else 0.9 if name == "EUC-KR" else _MOSTLY
        if len(re.findall(script, text)) > wanted * max(len(foreign), 1):
            return name
    high = [byte for byte in raw if byte >= 0x80]
    letters = len(re.findall(rb"[A-Za-z]", raw))
    cyrillic = sum(byte >= 0xC0 for byte in high) > 0.9 * len(high) and len(high) > letters / 2
    return "WINDOWS-1251" if cyrillic else "WINDOWS-1252"


def _decoded(raw: bytes, codec: str) -> str:
    """The text in that encoding, "" where it is none; the last character may be cut off."""
    for end in range(min(4, len(raw))):
        try:
            return raw[: len(raw) - end].decode(codec)
        except UnicodeDecodeError as error:
            if error.start < len(raw) - 8:
                break
    return ""
