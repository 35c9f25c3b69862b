"""What SimpleITK says when it cannot, in one line."""

from __future__ import annotations


def reason(error: RuntimeError) -> str:
    """The telling line of a message of SimpleITK, which begins with places in its source.

    The last line is often what the operating system said last, about another matter.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("Reason:")]
    return telling[-1].removeprefix("sitk::ERROR: ") if telling else "no reason given"
