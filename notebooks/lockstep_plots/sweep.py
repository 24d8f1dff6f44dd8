#!/usr/bin/env python3
"""Plots a result directory of `lockstep sweep`.

Usage: python3 notebooks/lockstep_plots/sweep.py RESULT_DIRECTORY [--value images_per_s]
Reads results.csv and sweep.json; writes beside them, each as PNG and SVG,
  sweep   the step and --value over one or two swept keys: lines over one, a map over two, a line per combination of the others over more
  pareto  time to train against GPU-hours of every point, and those that no other beats in both (of points that the machine has room for)
--value is a column of results.csv with numbers: step_ms, images_per_s, efficiency, time_to_train_s, gpu_hours, top1_percent, ...
"""

import argparse
import json
import math
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402

import matplotlib.pyplot as plt  # noqa: E402
import pandas  # noqa: E402
from matplotlib.colors import LogNorm, Normalize  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

LABELS = {
    "step_ms": "step time, ms", "images_per_s": "images/s", "efficiency": "efficiency against one GPU", "time_to_train_s": "time to train, s",
    "gpu_hours": "GPU-hours", "top1_percent": "top-1, %", "cluster.gpus": "GPUs", "training.global_batch": "global batch, images",
    "per_gpu_batch": "images per GPU and step", "exposed_ms": "exposed communication, ms", "straggler_ms": "waiting for the slowest, ms",
}
COLOURS = ["#1f3f6e", "#c8501e", "#4f86c0", "#e8a33d", "#7a7a7a", "#20804a"]
MARKERS, DASHES = "os^DvPX<>*h", ["-", "--", "-.", ":"]  # 11 and 4: 44 pairs before one comes again
TOLD_APART = 30  # lines
# What core/base/units_text.cpp parses, in bytes, seconds, bytes per second and operations per second.
UNITS = {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
         "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600,
         "Bps": 1, "kBps": 1e3, "MBps": 1e6, "GBps": 1e9, "TBps": 1e12, "KiBps": 2**10, "MiBps": 2**20, "GiBps": 2**30,
         "bps": 0.125, "kbps": 125, "Mbps": 125e3, "Gbps": 125e6, "Tbps": 125e9,
         "FLOPS": 1, "GFLOPS": 1e9, "TFLOPS": 1e12, "PFLOPS": 1e15}


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
    needed = ["index", *swept, "gpus", "step_ms", "time_to_train_s", "gpu_hours", "event_digest", "doubts", "error"]
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


def evenness(places):
    """The smallest gap between neighbours as a part of all."""
    gaps = [b - a for a, b in zip(places, places[1:])]
    return min(gaps, default=0) / sum(gaps) if gaps else 0


class Scale:
    """Where the values of a swept key lie on an axis: numbers at their place, on a log scale if that lays them out more evenly; words side by side."""

    def __init__(self, key, texts):
        self.key = key
        values = {t: number(t) for t in texts}
        self.numeric = all(v is not None for v in values.values())
        self.order = sorted(values, key=lambda t: values[t]) if self.numeric else list(dict.fromkeys(texts))
        self.at = values if self.numeric else {t: i for i, t in enumerate(self.order)}
        places = sorted(set(self.at.values()))
        self.log = self.numeric and len(places) > 2 and places[0] > 0 and evenness([math.log(p) for p in places]) > evenness(places)

    def ticks(self, most=12):
        every = -(-len(self.order) // most)
        return self.order[::every]

    def dress(self, axis):
        if self.log:
            axis.set_xscale("log", base=2)
        few = self.ticks()
        if self.log or not self.numeric or len(self.order) <= 12 or few[0][-1].isalpha():
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


def mark(at):
    return {"marker": MARKERS[at % len(MARKERS)], "linestyle": DASHES[at % len(DASHES)]}


class Series:
    """How the lines of a figure, one per combination of `keys`, are told apart: the key with most values by colour, the combinations of the others by marker and
    dash; more than TOLD_APART lines by colour alone."""

    def __init__(self, table, keys):
        self.scales = sorted((Scale(k, table[k].tolist()) for k in keys), key=lambda s: -len(s.order))
        self.keys = [s.key for s in self.scales]
        found = {self.places(row) for row in table.to_dict("records")}
        self.lines = len(found)
        self.many = self.lines > TOLD_APART
        self.others = sorted({places[1:] for places in found})
        values = len(self.scales[0].order) if keys else 1
        self.colours = COLOURS if values <= len(COLOURS) else [plt.get_cmap("turbo")(0.05 + 0.9 * i / (values - 1)) for i in range(values)]

    def places(self, row):
        return tuple(s.order.index(row[s.key]) for s in self.scales)

    def look(self, row):
        """Colour, marker and dash of the line that `row` belongs to."""
        places = self.places(row)
        return {"color": self.colours[places[0] if places else 0], **mark(0 if self.many else self.others.index(places[1:]))}

    def legend(self):
        """Handles; those that draw nothing are headings."""
        def heading(text):
            return Line2D([], [], linestyle="none", label=text)
        first, *others = self.scales
        shown = first.ticks() if self.many else first.order
        handles = [heading(f"{self.lines} combinations of\n" + ",\n".join(map(label, self.keys)))] if self.many else []
        some = f" ({len(shown)} of {len(first.order)} shown)" if len(shown) < len(first.order) else ""
        handles.append(heading(f"{'colour: ' if self.many else ''}{label(first.key)}{some}"))
        handles += [Line2D([], [], color=self.colours[first.order.index(text)], linewidth=3, label=text) for text in shown]
        if others and not self.many:
            handles.append(heading(",\n".join(label(s.key) for s in others)))
            handles += [Line2D([], [], color="0.25", label=", ".join(s.order[at] for s, at in zip(others, places)), **mark(i))
                        for i, places in enumerate(self.others)]
        return handles


def lines(axis, table, scale, series, value):
    """One line per combination of the keys of `series`; the first points of the run file's order are drawn first."""
    for _, rows in table.groupby(series.keys, sort=False) if series.keys else [((), table)]:
        look = series.look(rows.iloc[0])
        rows = rows.assign(place=[scale.at[t] for t in rows[scale.key]]).sort_values("place").dropna(subset=[value])
        if not scale.numeric:
            look["linestyle"] = "none"
        elif series.many or len(rows) > 60:
            look["marker"] = None
        axis.plot(rows["place"], rows[value], markersize=5, linewidth=0.8 if series.many else 1.6, **look)
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


def legend_beside(fig, handles):
    """A legend on the right; the figure grows by what it takes."""
    made = fig.legend(handles=handles, loc="center right", frameon=False, fontsize=8, handlelength=3.5)
    for handle, text in zip(handles, made.get_texts()):
        if handle.get_linestyle() == "None":
            text.set_weight("bold")
    box = made.get_window_extent(fig.canvas.get_renderer())
    width, height = fig.get_size_inches()
    whole = width + box.width / fig.dpi + 0.1
    fig.set_size_inches(whole, max(height, box.height / fig.dpi + 0.3))
    fig.get_layout_engine().set(rect=(0, 0, width / whole, 1))


def heat(axis, table, x, y, value, first):
    """A map of `value` over two keys, with its figures in the cells where they fit. Of points with equal keys the mean."""
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
    main = scales[0] if sweep["zip"] else max(scales, key=lambda s: (s.numeric, len(s.order)))
    series = Series(table, [] if is_map or sweep["zip"] else [a for a in axes if a != main.key])
    for axis, v in zip(panels[0], values):
        if is_map:
            heat(axis, table, scales[0], scales[1], v, axis is panels[0][0])
        else:
            lines(axis, table, main, series, v)
    if series.lines > 1:
        legend_beside(fig, series.legend())
    run_file = pathlib.Path(sweep["run_file"])
    name = run_file.stem if run_file.parent.name in ("", "..") else run_file.parent.name
    fig.suptitle(f"{name}: {len(table)} points", fontsize=11)
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
    doubtful = table["doubts"] != ""
    sound = table[~doubtful] if not doubtful.all() else table
    axis.scatter(sound["gpu_hours"], sound["time_to_train_s"], s=18, color="0.6", marker="o", label="points")
    if len(sound) < len(table):
        axis.scatter(table[doubtful]["gpu_hours"], table[doubtful]["time_to_train_s"], s=24, color="0.6", marker="x", label="more than the machine has (doubts)")
    best = front(sound)
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
