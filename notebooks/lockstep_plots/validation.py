#!/usr/bin/env python3
"""Plots predicted against published: the CSV that `lockstep validate --output FILE.csv` writes.

Usage: python3 notebooks/lockstep_plots/validation.py FILE.csv
Writes FILE.png and FILE.svg: one line per row (of bare collectives those that count), the error in percent, and the band in which a counted row passes.
"""

import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402


def plot(path):
    path = pathlib.Path(path)
    rows = tables.read(path, ("id", "quantity", "predicted", "published", "low", "high", "counted", "inside"), "a table of `lockstep validate --output`")
    # Of the tables of bare collectives only what counts: they have hundreds of sizes.
    rows = [r for r in rows if not math.isnan(r.number("predicted")) and (r["counted"] == "yes" or not r["quantity"].startswith("allreduce"))]
    rows.reverse()
    fig, ax = style.figure(8.5, 0.27 * len(rows) + 1.4)
    for y, r in enumerate(rows):
        published = r.number("published")
        error = 100 * (r.number("predicted") / published - 1)
        if r["counted"] == "yes":
            low, high = (100 * (r.number(k) / published - 1) for k in ("low", "high"))
            ax.barh(y, high - low, left=low, height=0.7, color="0.88")
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
    style.save(fig, path.with_suffix(""))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(sys.argv[1])
