#!/usr/bin/env python3
"""Plots trials.csv of `lockstep train --sweep`: top-1 against batch size, the drop from each series' own smallest batch, and how rates were chosen.

Usage: python3 notebooks/lockstep_plots/accuracy_measured.py TRIALS_CSV [--output PREFIX]
Writes PREFIX.png and PREFIX.svg (default: accuracy_vs_batch beside the file). Every fresh seed is a point, the line joins their means, the bars are
one standard deviation. A trial whose loss was no longer a number is drawn as a cross at chance (10 %) and is in no mean. Rings mark batches whose
best rate lies at the end of its grid.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402

import numpy  # noqa: E402
import pandas  # noqa: E402

CHANCE = 10.0
# Apart in colour and, by line and marker, in grey.
LOOKS = [("#1f5fa8", "o", "-"), ("#c8501e", "D", "--"), ("0.45", "s", ":"), ("#20804a", "^", "-."), ("#e8a33d", "v", (0, (1, 2))),
         ("#7b4fa0", "P", (0, (6, 2)))]
TEXTS = ["series", "stage", "optimizer", "edge", "warmup", "decay", "diverged", "error"]
NUMBERS = ["batch", "rate", "warmup_epochs", "epochs", "weight_decay", "label_smoothing", "tuning_trials", "seed", "steps", "top1_percent"]
WHOLE = {column: int for column in ("batch", "tuning_trials", "seed", "steps")}


def read(path):
    """All finished trials. Ends the program with the reason if the file is no trials.csv."""
    rows = [row for row in tables.read(path, [*TEXTS, *NUMBERS], "trials.csv of `lockstep train --sweep`") if row["error"] == ""]
    table = pandas.DataFrame([{**{c: row[c] for c in TEXTS}, **{c: float("nan") if c == "top1_percent" and not row[c] else row.number(c)
                                                                  for c in NUMBERS}} for row in rows],
                             columns=[*TEXTS, *NUMBERS]).astype(WHOLE)
    if table[table["stage"] == "final"].empty:
        sys.exit(f"{path}: no finished trial with a fresh seed in it yet")
    return table


def legend(rows):
    """"LARS, retuned: 8 tuning trials and 3 seeds per point"."""
    tuning, seeds = rows["tuning_trials"].iloc[0], rows.groupby("batch")["seed"].nunique().max()
    chosen = "" if rows["tuned_here"].iloc[0] else ", of another series"
    return f"{rows['series'].iloc[0]}: rate from {tuning} trials{chosen}, {seeds} seeds"


def recipe(table, variants):
    """What all trials share; the curves' warm-up (that of `variants` stands in their panel)."""
    r = table[~table["series"].isin(variants)].iloc[0]
    warmup = "no warm-up" if r["warmup"] == "none" else f"{r['warmup']} warm-up of {r['warmup_epochs']:g} {'epoch' if r['warmup_epochs'] == 1 else 'epochs'}"
    return (f"{r['epochs']:g} epochs whatever the batch; {warmup}, then {r['decay']} decay; weight decay {r['weight_decay']:g}; "
            f"label smoothing {r['label_smoothing']:g}")


def batches(axis, values):
    axis.set_xscale("log", base=2)
    values = sorted(set(values))
    axis.set_xticks(values, [f"{v:,}" for v in values], minor=False)
    axis.set_xticks([], minor=True)
    axis.set_xlim(values[0] / 1.4, values[-1] * 1.4)
    axis.set_xlabel("global batch, images (log2)")
    axis.grid(alpha=0.3)


def one_line(axis, rows, look, offset=1.0, zero=0.0, label=None):
    """Points of all seeds, the line of means with deviations, crosses of diverged trials, rings at the ends of grids."""
    color, marker, line = look
    good = rows[rows["diverged"] == "no"].dropna(subset="top1_percent")
    stats = good.groupby("batch")["top1_percent"].agg(["mean", "std"])
    x = stats.index.to_numpy() * offset
    axis.plot(good["batch"] * offset, good["top1_percent"] - zero, linestyle="none", marker=marker, markersize=3.5, color=color, alpha=0.45)
    axis.errorbar(x, stats["mean"] - zero, yerr=stats["std"].fillna(0), color=color, marker=marker, linestyle=line, markersize=6, capsize=3, label=label)
    bad = rows[rows["diverged"] == "yes"]
    axis.plot(bad["batch"] * offset, numpy.full(len(bad), CHANCE - zero), linestyle="none", marker="x", markersize=8, markeredgewidth=2, color=color)
    edges = [b for b in stats.index if (rows[rows["batch"] == b]["edge"] != "").any()]
    axis.plot(numpy.array(edges) * offset, stats["mean"].reindex(edges) - zero, linestyle="none", marker="o", markersize=13, markerfacecolor="none",
              color=color, markeredgewidth=1)


def warmups(axis, final, curves, variants, looks):
    """Series with another warm-up, each beside the curve of the same optimizer that has the usual one and the same rate at that batch."""
    ticks, labels = [], []
    at = 0

    def at_batch(name, batch):
        rows = final[(final["series"] == name) & (final["batch"] == batch)]
        return rows["optimizer"].iloc[0], rows["rate"].iloc[0]

    base_of = {}
    for name in variants:
        batch = final[final["series"] == name]["batch"].iloc[0]
        fitting = [c for c in curves if (final[final["series"] == c]["batch"] == batch).any() and at_batch(c, batch) == at_batch(name, batch)]
        base_of[name] = next((c for c in fitting if name.startswith(c)), fitting[0] if fitting else curves[0])
    for base in curves:
        mine = [v for v in variants if base_of[v] == base]
        if not mine:
            continue
        batch = final[final["series"] == mine[0]]["batch"].iloc[0]
        for name in [base, *mine]:
            rows = final[(final["series"] == name) & (final["batch"] == batch)].assign(batch=at)
            if rows.empty:
                continue
            one_line(axis, rows, looks[base])
            kind, epochs = rows["warmup"].iloc[0], rows["warmup_epochs"].iloc[0]
            ticks.append(at)
            labels.append(base.replace(", ", ",\n") + "\n" + (kind if kind == "none" else f"{kind} {epochs:g}"))
            at += 1
        at += 1
    axis.set_xticks(ticks, labels, fontsize=7)
    batch = final[final["series"].isin(variants)]["batch"].iloc[0]
    axis.set_title(f"Warm-up at batch {batch:,}", loc="left", fontsize=10)
    axis.set_ylabel("top-1, %")
    axis.grid(alpha=0.3, axis="y")


def plot(path, prefix):
    table = read(path)
    final = table[table["stage"] == "final"].copy()
    tuned = set(table[table["stage"] == "tune"]["series"])
    final["tuned_here"] = final["series"].isin(tuned)
    names = list(dict.fromkeys(final["series"]))
    warmup = final["warmup"] + " " + final["warmup_epochs"].astype(str)
    usual = warmup.mode()[0]
    variants = [n for n in names if (warmup[final["series"] == n] != usual).all()]
    curves = [n for n in names if n not in variants]
    looks = {n: LOOKS[i % len(LOOKS)] for i, n in enumerate(curves)}

    if variants:
        fig, axes = style.figure(12.5, 9.5, nrows=2, ncols=2)
        axes = axes.ravel()
    else:
        fig, axes = style.figure(15.0, 5.0, ncols=3)
    top1, drop, tuning = axes[:3]
    used = list(final[final["series"].isin(curves)]["batch"])
    spread = len(curves)
    for i, name in enumerate(curves):
        rows = final[final["series"] == name]
        offset = 2 ** (0.1 * (i - (spread - 1) / 2) / max(1, spread - 1) * 2) if spread > 1 else 1.0  # side by side at equal batches
        one_line(top1, rows, looks[name], offset, label=legend(rows))
    batches(top1, used)
    top1.set_ylabel("top-1 on the test images, %")
    top1.set_title("Accuracy after a fixed number of epochs", loc="left", fontsize=10)
    top1.legend(frameon=False, fontsize=7.5, loc="lower left")

    shown = False
    for name in curves:
        rows = final[(final["series"] == name) & (final["diverged"] == "no")]
        means = rows.groupby("batch")["top1_percent"].mean()
        if len(means) < 2:
            continue
        one_line(drop, final[(final["series"] == name) & (final["diverged"] == "no")], looks[name], zero=means.iloc[0])
        shown = True
    if shown:
        batches(drop, final[final["series"].isin(curves)]["batch"])
        drop.axhline(0, color="0.55", linewidth=0.8)
        drop.set_ylabel("points from the own smallest batch")
    else:
        drop.text(0.5, 0.5, "needs a series\nof two batches", ha="center", va="center", transform=drop.transAxes, color="0.4")
        drop.set_xticks([])
        drop.set_yticks([])
    drop.set_title("Drop from each series' own smallest batch", loc="left", fontsize=10)

    tune = table[table["stage"] == "tune"]
    shades = {b: 0.25 + 0.75 * i / max(1, tune["batch"].nunique() - 1) for i, b in enumerate(sorted(tune["batch"].unique()))}
    for name in dict.fromkeys(tune["series"]):
        own = sorted(tune[tune["series"] == name]["batch"].unique())
        for batch, rows in tune[tune["series"] == name].groupby("batch"):
            color, marker, line = looks.get(name, LOOKS[0])
            rows = rows.sort_values("rate")
            y = rows["top1_percent"].where(rows["diverged"] == "no", CHANCE)
            tuning.plot(rows["rate"], y, color=color, marker=marker, linestyle=line, markersize=4, alpha=shades[batch],
                        label=f"{name}, batch " + (f"{own[0]:,} (light) to {batch:,} (dark)" if len(own) > 1 else f"{batch:,}") if batch == own[-1] else None)
            bad = rows["diverged"] == "yes"
            tuning.plot(rows["rate"][bad], y[bad], linestyle="none", marker="x", markersize=8, markeredgewidth=2, color=color)
    tuning.set_xscale("log", base=2)
    rates = sorted(tune["rate"].unique())
    step = max(1, len(rates) // 8)
    tuning.set_xticks(rates[::step], [f"{r:g}" for r in rates[::step]])
    tuning.set_xticks([], minor=True)
    tuning.set_xlabel("peak rate (log2)")
    tuning.set_ylabel("top-1, %, one seed")
    tuning.grid(alpha=0.3)
    tuning.set_ylim(top=100, bottom=min(0, tuning.get_ylim()[0]))
    tuning.legend(frameon=False, fontsize=7.5, loc="lower left")
    tuning.set_title("How the rates were chosen", loc="left", fontsize=10)
    if variants:
        warmups(axes[3], final, curves, variants, looks)
    fig.suptitle(recipe(final, variants), fontsize=9, color="0.3")
    style.save(fig, prefix)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    plot(options.trials, options.output or options.trials.parent / "accuracy_vs_batch")
