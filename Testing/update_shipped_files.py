"""Write the lists of installed files in MedSAMSegment/CMakeLists.txt anew, from what is in the tree.

Usage: python3 Testing/update_shipped_files.py
"""

from __future__ import annotations

import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "MedSAMSegment"


def files(*patterns: str) -> list[str]:
    found = {
        path.relative_to(MODULE).as_posix()
        for pattern in patterns
        for path in MODULE.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(found)


def with_list(text: str, variable: str, lines: list[str]) -> str:
    listed = "".join(f"  {line}\n" for line in lines)
    return re.sub(rf"set\({variable}\n.*?  \)", lambda _: f"set({variable}\n{listed}  )", text, flags=re.DOTALL)


def main() -> None:
    path = MODULE / "CMakeLists.txt"
    scripts = [name for name in files("**/*.py") if name != "MedSAMSegment.py"]
    resources = files("Resources/**/*", "SegmentEditorMedSAMLib/*.png")
    text = path.read_text(encoding="utf-8")
    text = with_list(text, "MODULE_PYTHON_SCRIPTS", ["${MODULE_NAME}.py", *scripts])
    text = with_list(text, "MODULE_PYTHON_RESOURCES", resources)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
