"""Write requirements.txt from pyproject.toml: `python .ci/requirements.py`; with --check only say whether it agrees."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# For Hugging Face Spaces. Made from pyproject.toml by `make requirements`; change it there.\n"
ON_SPACES = {"torch": "torch>=2.8,<2.12"}
"""ZeroGPU runs torch 2.8 to 2.11; elsewhere `make run` takes a newer one, and pyproject.toml allows both."""


def requirements(pyproject: str) -> str:
    """Return the text of requirements.txt: the dependencies in order, one a line."""
    wanted = tomllib.loads(pyproject)["project"]["dependencies"]
    lines = [ON_SPACES.get(line.split(">")[0].split("=")[0], line) for line in sorted(wanted)]
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    """Write the file, or compare it and return 1 where it differs."""
    target = ROOT / "requirements.txt"
    text = requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if "--check" not in sys.argv:
        target.write_text(text, encoding="utf-8")
        return 0
    agrees = target.is_file() and target.read_text(encoding="utf-8") == text
    if not agrees:
        sys.stderr.write("requirements.txt does not agree with pyproject.toml; run `make requirements`\n")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
