#!/usr/bin/env python3
"""Plots predicted against published: the CSV that `lockstep validate --output FILE.csv` writes.

Usage: python3 notebooks/lockstep_plots/validation.py FILE.csv
Writes FILE.png and FILE.svg: one line per row (of bare collectives those that count), the error in percent, and the band in which a counted row passes.
"""

import csv
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402


def plot(path):
    try:
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(f) if not math.isnan(float(r["predicted"]))]
        # Of the tables of bare collectives only what counts: they have hundreds of sizes.
        rows = [r for r in rows if r["counted"] == "yes" or not r["quantity"].startswith("allreduce")]
    except FileNotFoundError:
        sys.exit(f"{path}: no such file; write it with `lockstep validate --output {path}`")
    for column in ("id", "predicted", "published", "low", "high", "counted"):
        if rows and column not in rows[0]:
            sys.exit(f"{path}: no column {column}; expected a table of `lockstep validate`")
    rows.reverse()
    fig, ax = style.figure(8.5, 0.27 * len(rows) + 1.4)
    for y, r in enumerate(rows):
        published = float(r["published"])
        error = 100 * (float(r["predicted"]) / published - 1)
        if r["counted"] == "yes":
            low, high = (100 * (float(r[k]) / published - 1) for k in ("low", "high"))
            ax.barh(y, high - low, left=low, height=0.7, color="0.88", label="band of a counted row" if "band" not in ax.__dict__ else None)
            ax.__dict__["band"] = True
            inside = r["inside"] == "yes"
            ax.plot(error, y, "o" if inside else "X", color="#1f5fa8" if inside else "#c8501e", markersize=6 if inside else 9)
        else:
            ax.plot(error, y, "o", mfc="white", mec="0.4", markersize=6)
        ax.annotate(f"{error:+.1f} %", (error, y), textcoords="offset points", xytext=(8, -3), fontsize=7.5)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_yticks(range(len(rows)), [r["id"] for r in rows], fontsize=8)
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_xlabel("predicted against published, %")
    ax.set_title("grey: band; filled: counted and inside; cross: counted and outside; open: shown only", fontsize=9)
    ax.grid(True, axis="x", color="0.9")
    ax.set_axisbelow(True)
    style.save(fig, pathlib.Path(path).with_suffix(""))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(sys.argv[1])
