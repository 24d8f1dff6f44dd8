#!/usr/bin/env python3
"""Executes every notebook from top to bottom; any exception fails.

    run_notebooks.py SOURCE_DIR [OUTPUT_DIR]        with PYTHONPATH=BUILD/python
With OUTPUT_DIR the executed notebooks are written there. Exit code 77 (skipped) where nbclient or a kernel is missing.
"""
import pathlib
import sys

try:
    import ipykernel  # noqa: F401
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

folder = pathlib.Path(sys.argv[1]) / "notebooks"
found = sorted(folder.glob("[0-9]*.ipynb"))
failed = 0
for path in found:
    notebook = nbformat.read(path, as_version=4)
    if any(cell.get("outputs") for cell in notebook.cells):
        print(f"{path.name}: holds outputs; expected a clean notebook")
        failed += 1
    try:
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
        print(f"{path.name}: {sum(c.cell_type == 'code' for c in notebook.cells)} cells")
    except CellExecutionError as e:
        print(f"{path.name}: {e}")
        failed += 1
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, pathlib.Path(sys.argv[2]) / path.name)
sys.exit(1 if failed or not found else 0)
