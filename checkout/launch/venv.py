"""How does a virtual environment come about where Python came without pip, as Debian's does? One pip, by its hash.

Run as a file, by whatever Python there is: `python3 -I checkout/launch/venv.py DIRECTORY`.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import urllib.request
import venv
from pathlib import Path

PIP_URL = (
    "https://files.pythonhosted.org/packages/f3/6e/1736e5b4ae2b778ef2f81c47d797de9f891d4d8acb047a24ca37a60294dd/"
    "pip-26.2.1-py3-none-any.whl"
)
PIP_SHA256 = "71138adf1f4ca900cdb7d289c21b7494329f2332b6d85f0e1c42108c0384ed3e"


def make(directory: Path) -> None:
    """Make a virtual environment with pip; pip is fetched when Python cannot install its own."""
    has_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create(directory, symlinks=True, with_pip=has_pip)
    if not has_pip:
        with urllib.request.urlopen(PIP_URL, timeout=60) as answer:
            wheel = answer.read()
        if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
            raise SystemExit(f"{PIP_URL} is not the file that was expected.")
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / PIP_URL.rpartition("/")[2]
            file.write_bytes(wheel)
            python = directory / "bin" / "python"
            subprocess.run([python, file / "pip", "install", "--quiet", "--no-index", file], check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
