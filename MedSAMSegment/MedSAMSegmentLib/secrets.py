"""Passwords in addresses, which belong on no screen and in no log."""

from __future__ import annotations

import re

_USER_IN_ADDRESS = re.compile(r"(?<=//)[^/\s@\"'<>]+(?:@[^/\s@\"'<>]+)*@")
"""``user:password@`` of ``https://user:password@host``; an @ in the password need not be escaped by everybody."""


def without_passwords(text: str) -> str:
    """A text with ``***`` in the place of who logs in, and with what, in every address in it."""
    return _USER_IN_ADDRESS.sub("***@", text)
