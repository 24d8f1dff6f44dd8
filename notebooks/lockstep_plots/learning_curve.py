#!/usr/bin/env python3
"""Plots top-1 over the course of published runs: learning_curves.csv of the directory that `lockstep accuracy --csv DIR` writes.

Usage: python3 notebooks/lockstep_plots/learning_curve.py DIR
Writes DIR/learning_curve.png and DIR/learning_curve.svg. Thin lines are runs, the thick one is their mean, the band reaches from the lowest run to the highest.
On the left the whole course, with the seconds that the mean run took; on the right its end, beside the target of MLPerf.
"""

import itertools
import pathlib
import statistics
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402

import numpy  # noqa: E402

TARGET = 75.9
END = 0.7  # the right panel begins at this share of the epochs
NEEDED = ("series", "label", "legend", "run", "batch", "warmup_epochs", "epoch", "top1_percent", "seconds")
# Apart in colour and, by lightness, marker and line, in grey.
LOOKS = [("#1f3f6e", "o", "-"), ("#c8501e", "s", "--"), ("#4f9a5c", "^", "-.")]


class Curve:
    """The runs of one series at one batch, and their mean at the epochs that all of them have."""

    def __init__(self, rows):
        self.label, self.legend, self.batch = rows[0]["label"], rows[0]["legend"], rows[0].number("batch")
        self.warmup = rows[0].number("warmup_epochs") if rows[0]["warmup_epochs"] else None
        self.runs = {}
        for r in rows:
            self.runs.setdefault(r["run"], {})[r.number("epoch")] = (r.number("top1_percent"), r.number("seconds"))
        self.epochs = sorted(set.intersection(*(set(run) for run in self.runs.values())))

    def top1(self, epoch):
        return [run[epoch][0] for run in self.runs.values()]

    def mean(self):
        return [statistics.fmean(self.top1(e)) for e in self.epochs]

    def seconds(self):
        return [statistics.fmean(run[e][1] for run in self.runs.values()) for e in self.epochs]


def curves(rows):
    groups = {}
    for r in rows:
        groups.setdefault((r["series"], r["batch"]), []).append(r)
    return [Curve(group) for group in groups.values()]


def draw(axis, curve, look):
    colour, marker, dash = look
    for i, run in enumerate(curve.runs.values()):
        axis.plot(list(run), [top1 for top1, _ in run.values()], color=colour, alpha=0.45, linewidth=0.8, marker=marker, markersize=2.5,
                  label=f"{len(curve.runs)} runs, one by one" if i == 0 else None)
    axis.fill_between(curve.epochs, [min(curve.top1(e)) for e in curve.epochs], [max(curve.top1(e)) for e in curve.epochs], color=colour, alpha=0.13,
                      linewidth=0, label="lowest to highest run")
    axis.plot(curve.epochs, curve.mean(), color=colour, linestyle=dash, linewidth=2.2, label="mean: " + "\n".join(textwrap.wrap(f"{curve.legend}; batch {curve.batch:,.0f}", 52)))


def interpolated(x, y):
    """A rising line through the points, and on at the slope of its ends."""
    x, y = numpy.array(x), numpy.array(y)

    def at(values):
        values = numpy.asarray(values, dtype=float)
        i = numpy.clip(numpy.searchsorted(x, values), 1, len(x) - 1)
        return y[i - 1] + (values - x[i - 1]) * (y[i] - y[i - 1]) / (x[i] - x[i - 1])
    return at


def plot(folder):
    folder = pathlib.Path(folder)
    found = curves(tables.read(folder / "learning_curves.csv", NEEDED, "learning_curves.csv of `lockstep accuracy --csv`"))
    if not found:
        sys.exit(f"{folder / 'learning_curves.csv'}: no run in it")
    fig, (whole, end) = style.figure(11.5, 5.0, ncols=2, width_ratios=[1.1, 1])
    last = max(curve.epochs[-1] for curve in found)
    for look, curve in zip(itertools.cycle(LOOKS), found):
        for axis in (whole, end):
            draw(axis, curve, look)
    for axis in (whole, end):
        axis.axhline(TARGET, color="0.35", linestyle="-.", linewidth=1)
        axis.set_xlabel("epoch")
        axis.set_ylabel("top-1 on the validation images, %")
        axis.grid(True, color="0.92")
        axis.set_axisbelow(True)
    whole.annotate(f"{TARGET} %, MLPerf's target", (0, TARGET), textcoords="offset points", xytext=(4, 4), fontsize=8)
    whole.set_xlim(0, last)
    whole.set_ylim(0, 85)
    whole.set_title("the whole course", loc="left", fontsize=10)
    first = found[0]
    if first.warmup:
        whole.axvline(first.warmup, color="0.35", linestyle=":", linewidth=1.3)
        whole.annotate(f"warm-up ends\n(epoch {first.warmup:g})", (first.warmup, 4), textcoords="offset points", xytext=(5, 0), fontsize=8)
    seconds = first.seconds()
    if len(found) == 1 and len(seconds) > 1:  # several series have several clocks
        clock = whole.secondary_xaxis("top", functions=(interpolated(first.epochs, seconds), interpolated(seconds, first.epochs)))
        clock.set_xlabel("seconds since the run's start, mean of the runs")
        clock.spines["top"].set_visible(True)
    shown = [curve.top1(e) for curve in found for e in curve.epochs if e >= END * last]
    end.set_xlim(END * last, last * 1.005)
    end.set_ylim(min(map(min, shown)) - 0.4, max(max(map(max, shown)), TARGET) + 0.6)
    reached = [top1 for curve in found for top1 in curve.top1(curve.epochs[-1])]
    deviation = f" +- {statistics.stdev(reached):.2f}" if len(reached) > 1 else ""
    end.text(0.98, 0.66, f"epoch {last:g}: {statistics.fmean(reached):.2f}{deviation} %,\n{sum(t >= TARGET for t in reached)} of {len(reached)} runs at {TARGET} %",
             transform=end.transAxes, fontsize=8, ha="right")
    end.set_title(f"the end: from epoch {END * last:.0f}", loc="left", fontsize=10)
    end.legend(fontsize=7.5, loc="lower right", framealpha=0.9)
    style.save(fig, folder / "learning_curve")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(sys.argv[1])
