from __future__ import annotations

import pytest

from MedSAMSegmentLib.secrets import without_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://anna:secret@mirror.example/hf", "https://***@mirror.example/hf"),
        ("http://token@10.0.0.1:8080", "http://***@10.0.0.1:8080"),
        ("https://anna:p@ss@word@host/", "https://***@host/"),
        ("proxy http://a:b@c and https://d:e@f/g?h=i@j", "proxy http://***@c and https://***@f/g?h=i@j"),
        ("ConnectError('https://anna:secret@host/x')", "ConnectError('https://***@host/x')"),
        ("https://huggingface.co/owner@name", "https://huggingface.co/owner@name"),
        ("/home/anna/models", "/home/anna/models"),
        ("someone@example.org", "someone@example.org"),
    ],
)
def test_who_logs_in_and_with_what_is_left_out_of_every_address(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
