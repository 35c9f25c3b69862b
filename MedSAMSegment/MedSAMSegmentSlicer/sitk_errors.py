"""What SimpleITK says when it cannot, in one line."""

from __future__ import annotations

import re

_SPEAKER = re.compile(r"^ITK ERROR: \w+\(0x[0-9a-f]+\): ")
"""Class and address of the object that speaks."""


def reason(error: RuntimeError) -> str:
    """The telling line of a message of SimpleITK, which begins with places in its source.

    The last line is often what the operating system said last, about another matter.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Reason:")]
    return _SPEAKER.sub("", telling[-1].removeprefix("sitk::ERROR: ")) if telling else "no reason given"
