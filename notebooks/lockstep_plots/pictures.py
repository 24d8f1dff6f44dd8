#!/usr/bin/env python3
"""One small picture of each notebook, for the README: its first figure, at most 480 pixels wide.

Usage: PYTHONPATH=build/python python3 notebooks/lockstep_plots/pictures.py [EXECUTED]
EXECUTED holds notebooks that tests/notebooks/run_notebooks.py executed; without it they are executed first (minutes). Writes notebooks/pictures/NAME.png.
"""

import base64
import io
import pathlib
import subprocess
import sys
import tempfile

import nbformat
from PIL import Image

SOURCE = pathlib.Path(__file__).resolve().parents[2]
WIDTH, MOST_BYTES = 480, 60_000


def first_figure(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))).convert("RGB")
    return None


def write(executed):
    folder = SOURCE / "notebooks" / "pictures"
    folder.mkdir(exist_ok=True)
    for path in sorted(executed.glob("[0-9]*.ipynb")):
        figure = first_figure(nbformat.read(path, as_version=4))
        if figure is None:
            sys.exit(f"{path}: no figure in it; expected an executed notebook with one")
        if figure.width > WIDTH:
            figure = figure.resize((WIDTH, round(figure.height * WIDTH / figure.width)), Image.LANCZOS)
        target = folder / f"{path.stem}.png"
        figure.save(target, optimize=True)
        size = target.stat().st_size
        if size > MOST_BYTES:
            sys.exit(f"{target}: {size} bytes; expected at most {MOST_BYTES}")
        print(f"{target.relative_to(SOURCE)}: {figure.width} x {figure.height}, {size} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        write(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            subprocess.run([sys.executable, SOURCE / "tests" / "notebooks" / "run_notebooks.py", SOURCE, name], check=True)
            write(pathlib.Path(name))
