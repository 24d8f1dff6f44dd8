#!/usr/bin/env python3
"""Plots a result directory of `lockstep sweep`.

Usage: python3 notebooks/lockstep_plots/sweep.py RESULT_DIRECTORY [--value images_per_s]
Reads results.csv and sweep.json; writes beside them, each as PNG and SVG,
  sweep   the step and --value over one or two swept keys: lines over one, a map over two, lines per combination over more
  pareto  time to train against GPU-hours of every point, and those that no other beats in both
--value is a column of results.csv with numbers: step_ms, images_per_s, efficiency, time_to_train_s, gpu_hours, top1_percent, ...
"""

import argparse
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402

import matplotlib.pyplot as plt  # noqa: E402
import pandas  # noqa: E402
from matplotlib.colors import LogNorm, Normalize  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

LABELS = {
    "step_ms": "step time, ms", "images_per_s": "images/s", "efficiency": "efficiency against one GPU", "time_to_train_s": "time to train, s",
    "gpu_hours": "GPU-hours", "top1_percent": "top-1, %", "cluster.gpus": "GPUs", "training.global_batch": "global batch, images",
    "per_gpu_batch": "images per GPU and step", "exposed_ms": "exposed communication, ms", "straggler_ms": "waiting for the slowest, ms",
}
# Apart in colour and, by line and marker, in grey.
SERIES = [("#1f3f6e", "o", "-"), ("#c8501e", "s", "--"), ("#4f86c0", "^", "-."), ("#e8a33d", "D", ":"), ("#7a7a7a", "v", "-"), ("#20804a", "P", "--")]
UNITS = {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
         "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600}


def fail(message):
    sys.exit(message)


def read(directory):
    """The finished points, the swept keys with more than one value (all of them if none has), and sweep.json."""
    try:
        with open(directory / "sweep.json") as f:
            sweep = json.load(f)
        swept = [axis["path"] for axis in sweep["axes"]]
    except FileNotFoundError as e:
        fail(f"{e.filename}: no such file; expected a result directory of `lockstep sweep`")
    except (ValueError, KeyError, TypeError) as e:
        fail(f"{directory / 'sweep.json'}: cannot be read: {e}; expected sweep.json of `lockstep sweep`")
    needed = ["index", *swept, "gpus", "step_ms", "time_to_train_s", "gpu_hours", "event_digest", "error"]
    table = pandas.DataFrame(tables.read(directory / "results.csv", needed, "results.csv of `lockstep sweep`"))
    if table.empty:
        fail(f"{directory / 'results.csv'}: no point in it yet")
    table["index"] = pandas.to_numeric(table["index"])
    good = table[table["error"] == ""].copy()
    for column in good.columns[good.columns.get_loc("gpus"):good.columns.get_loc("event_digest")]:
        good[column] = pandas.to_numeric(good[column], errors="coerce")
    if good.empty:
        fail(f"{directory / 'results.csv'}: no point without an error")
    axes = [a["path"] for a in sweep["axes"] if good[a["path"]].nunique() > 1]
    return good.sort_values("index"), axes or [sweep["axes"][0]["path"]], sweep


def label(key):
    return LABELS.get(key, key)


def number(text):
    """The value of a number with an optional unit, else None."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    if not match or (match[2] and match[2] not in UNITS):
        return None
    try:
        return float(match[1]) * UNITS.get(match[2], 1)
    except ValueError:
        return None


class Scale:
    """Where the values of a swept key lie on an axis: numbers at their place, with equal ratios on a log scale; words side by side."""

    def __init__(self, key, texts):
        self.key = key
        values = {t: number(t) for t in texts}
        self.numeric = all(v is not None for v in values.values())
        self.order = sorted(values, key=lambda t: values[t]) if self.numeric else list(dict.fromkeys(texts))
        self.at = values if self.numeric else {t: i for i, t in enumerate(self.order)}
        places = [self.at[t] for t in self.order]
        ratios = [b / a for a, b in zip(places, places[1:])] if self.numeric and places[0] > 0 else []
        self.log = len(ratios) > 1 and min(ratios) > 1.05 and max(ratios) < 1.1 * min(ratios)

    def ticks(self, most=12):
        every = -(-len(self.order) // most)
        return self.order[::every]

    def dress(self, axis):
        if self.log:
            axis.set_xscale("log", base=2)
        few = self.ticks()
        if self.log or not self.numeric or len(self.order) <= 12:
            axis.set_xticks([self.at[t] for t in few], few, rotation=0 if max(map(len, few)) * len(few) < 60 else 30)
            axis.minorticks_off()
        axis.set_xlabel(label(self.key))


def thousands(value, _=None):
    if abs(value) >= 9.995e5:
        return f"{value / 1e6:.4g} M"
    return f"{value / 1e3:.4g} k" if abs(value) >= 9.995e3 else f"{value:.4g}"


def log_ticks(axis):
    """1, 2 and 5 times powers of ten, on an x or y axis that has a log scale."""
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_minor_formatter(NullFormatter())


def lines(axis, table, scale, series, value):
    """One line per combination of the other keys; the first points of the run file's order are drawn first."""
    groups = list(table.groupby(series, sort=False)) if series else [((), table)]
    for i, (names, rows) in enumerate(groups):
        colour, marker, dash = SERIES[i % len(SERIES)]
        rows = rows.assign(place=[scale.at[t] for t in rows[scale.key]]).sort_values("place").dropna(subset=[value])
        names = names if isinstance(names, tuple) else (names,)
        text = ", ".join(f"{label(k)} {n}" for k, n in zip(series, names))
        axis.plot(rows["place"], rows[value], color=colour, marker=marker if len(rows) <= 60 else None, linestyle=dash if scale.numeric else "none",
                  markersize=5, linewidth=1.6, label=text)
    scale.dress(axis)
    low, high = table[value].min(), table[value].max()
    if scale.log and low > 0 and high > 8 * low:
        axis.set_yscale("log", base=10)
        log_ticks(axis.yaxis)
    else:
        axis.set_ylim(bottom=0, top=1.08 * high if high > 0 else 1)
    axis.yaxis.set_major_formatter(thousands)
    axis.set_ylabel(label(value))
    axis.grid(True, color="0.9")
    axis.set_axisbelow(True)
    return len(groups)


def heat(axis, table, x, y, value, first):
    """A map of `value` over two keys, with its figures in the cells where they fit. The last point of equal keys counts."""
    grid = table.pivot_table(index=y.key, columns=x.key, values=value, aggfunc="mean", sort=False).reindex(index=y.order, columns=x.order)
    low, high = grid.min().min(), grid.max().max()
    norm = (LogNorm if high > 8 * low > 0 else Normalize)(low, high if high > low else low + 1)
    image = axis.imshow(grid.to_numpy(dtype=float), origin="lower", aspect="auto", cmap="cividis", norm=norm)
    for side, scale, setter in (("x", x, axis.set_xticks), ("y", y, axis.set_yticks)):
        shown = scale.ticks(16)
        setter([scale.order.index(t) for t in shown], shown, rotation=30 if side == "x" and max(map(len, shown)) * len(shown) > 30 else 0)
    axis.set_xlabel(label(x.key))
    if first:
        axis.set_ylabel(label(y.key))
    else:
        axis.set_yticklabels([])  # those of the panel on its left
    if len(x.order) <= 12 and len(y.order) <= 16:
        for i, row in enumerate(grid.to_numpy(dtype=float)):
            for j, v in enumerate(row):
                axis.text(j, i, thousands(float(f"{v:.3g}")) if v == v else "-", ha="center", va="center", fontsize=8 if len(x.order) < 7 else 7,
                          color="white" if v == v and norm(v) < 0.5 else "black")
    bar = axis.figure.colorbar(image, ax=axis, label=label(value), format=FuncFormatter(thousands))
    if isinstance(norm, LogNorm):
        log_ticks(bar.ax.yaxis)
        bar.ax.yaxis.set_major_formatter(FuncFormatter(thousands))
    for spine in axis.spines.values():
        spine.set_visible(False)


def draw_sweep(directory, table, axes, sweep, value):
    scales = [Scale(a, table[a].tolist()) for a in axes]
    values = ["step_ms"] + ([value] if value != "step_ms" else [])
    # Walked together, the keys are no grid: the first one stands for all.
    is_map = len(axes) == 2 and not sweep["zip"]
    fig, panels = style.figure((6.4 if is_map else 5.6) * len(values), 4.4, ncols=len(values), squeeze=False)
    legends = 0
    for axis, v in zip(panels[0], values):
        if is_map:
            heat(axis, table, scales[0], scales[1], v, axis is panels[0][0])
        else:
            main = max(scales, key=lambda s: (s.numeric, len(s.order))) if not sweep["zip"] else scales[0]
            others = [] if sweep["zip"] else [a for a in axes if a != main.key]
            legends = lines(axis, table, main, others, v)
    if 1 < legends <= 24:
        columns = 2 if legends < 9 else 3
        rows, height = -(-legends // columns), fig.get_figheight()
        below = 0.2 * rows + 0.1
        fig.set_figheight(height + below)
        fig.get_layout_engine().set(rect=(0, below / (height + below), 1, height / (height + below)))
        fig.legend(*panels[0][0].get_legend_handles_labels(), frameon=False, loc="lower center", ncols=columns, fontsize=8)
    fig.suptitle(f"{pathlib.Path(sweep['run_file']).parent.name}: {len(table)} points", fontsize=11)
    style.save(fig, directory / "sweep")


def front(table):
    """Points that no other beats in both time and GPU-hours, by time."""
    best, kept = float("inf"), []
    for _, row in table.sort_values(["time_to_train_s", "gpu_hours"]).iterrows():
        if row["gpu_hours"] < best:
            best = row["gpu_hours"]
            kept.append(row)
    return pandas.DataFrame(kept)


def draw_pareto(directory, table, axes):
    fig, axis = style.figure(8.0, 4.8)
    axis.set_axisbelow(True)
    axis.scatter(table["gpu_hours"], table["time_to_train_s"], s=18, color="0.6", marker="o", label="points")
    best = front(table)
    axis.plot(best["gpu_hours"], best["time_to_train_s"], drawstyle="steps-pre", color=style.PREDICTED["color"], marker="D", markersize=5,
              linewidth=1.4, label="no point is better in both")
    shown = best.iloc[:: -(-len(best) // 8)]
    for _, row in shown.iterrows():
        axis.annotate(", ".join(str(row[a]) for a in axes), (row["gpu_hours"], row["time_to_train_s"]), textcoords="offset points", xytext=(6, 5), fontsize=8)
    for column, setter, side in (("gpu_hours", axis.set_xscale, axis.xaxis), ("time_to_train_s", axis.set_yscale, axis.yaxis)):
        if table[column].max() > 8 * table[column].min() > 0:
            setter("log")
            log_ticks(side)
    axis.xaxis.set_major_formatter(thousands)
    axis.yaxis.set_major_formatter(thousands)
    axis.margins(x=0.12, y=0.1)
    axis.set_xlabel("GPU-hours")
    axis.set_ylabel("time to train, s")
    axis.set_title(f"labels: {', '.join(label(a) for a in axes)}", fontsize=9)
    axis.grid(True, color="0.9")
    axis.legend(frameon=False)
    style.save(fig, directory / "pareto")


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        fail(__doc__)
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--value", default="images_per_s")
    asked = parser.parse_args()
    table, axes, sweep = read(asked.directory)
    if asked.value not in table.columns or not pandas.api.types.is_numeric_dtype(table[asked.value]) or table[asked.value].isna().all():
        numeric = [c for c in table.columns[table.columns.get_loc("gpus"):] if pandas.api.types.is_numeric_dtype(table[c]) and table[c].notna().any()]
        fail(f"--value {asked.value}: expected one of {', '.join(numeric)}")
    draw_sweep(asked.directory, table, axes, sweep, asked.value)
    draw_pareto(asked.directory, table, axes)
    plt.close("all")
    print(f"written to {asked.directory}: sweep.png, sweep.svg, pareto.png, pareto.svg")


if __name__ == "__main__":
    main()
