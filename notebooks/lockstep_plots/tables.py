"""Tables that the program writes. What is wrong with one ends the program with file, line and column, what was expected and what was found."""

import csv
import difflib
import sys


class Row(dict):
    """Cells by column, and where the row stands."""

    def __init__(self, cells, where):
        super().__init__(cells)
        self.where = where

    def number(self, column):
        try:
            return float(self[column])
        except ValueError:
            sys.exit(f"{self.where}: {column}: expected a number, found \"{self[column]}\"")


def _expect(path, line, text, header, columns, made_by):
    faults = []
    for column in columns:
        if column in header:
            continue
        near = difflib.get_close_matches(column, header, n=1)
        place, found = (text.find(near[0]) + 1, f'"{near[0]}"') if near else (1, ", ".join(header))
        faults.append(f"{path}:{line}:{place}: {column}: no such column; expected one of this name, as in {made_by}; found {found}")
    if faults:
        sys.exit("\n".join(faults))


def read(path, columns, made_by):
    """Rows of the table at `path`, which must have `columns`; `made_by` says in messages what was expected: "results.csv of `lockstep sweep`". Empty lines
    and lines that begin with # are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        sys.exit(f"{path}: no such file; expected {made_by}")
    except (OSError, UnicodeDecodeError) as e:
        sys.exit(f"{path}: cannot be read: {e}; expected {made_by}")
    header, rows, reader = None, [], csv.reader(lines)
    try:
        for cells in reader:
            if not cells or cells[0].startswith("#"):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _expect(path, reader.line_num, lines[reader.line_num - 1], header, columns, made_by)
            elif len(cells) != len(header):
                sys.exit(f"{path}:{reader.line_num}:1: {len(cells)} cells; the header has {len(header)}")
            else:
                rows.append(Row(zip(header, cells), f"{path}:{reader.line_num}"))
    except csv.Error as e:
        sys.exit(f"{path}:{reader.line_num}:1: {e}; expected {made_by}")
    if header is None:
        sys.exit(f"{path}:1:1: no header line; expected {made_by}")
    return rows
