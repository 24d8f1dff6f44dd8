#!/usr/bin/env python3
"""Plots accuracy against batch size: the directory that `lockstep accuracy --csv DIR` writes.

Usage: python3 notebooks/lockstep_plots/accuracy.py DIR
Writes DIR/accuracy.png and DIR/accuracy.svg. Markers are published results, lines are predictions (the mean of fitted forms) with 95 % bands, dashes are
extrapolation. The panel with times is drawn if DIR holds timed.csv (`lockstep accuracy --run FILE --csv DIR`).
"""

import pathlib
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402

IMAGES = 1281167
TARGET = 75.9  # top-1 in percent that the epochs and times to a target mean: that of the published points of lars_epochs, whatever the run
# colour, marker, hatch of the band: told apart in grey by marker and by lightness
LOOK = {
    "sgd_untuned": ("#c8501e", "s", "SGD Nesterov 0.9, linear rule, untuned; warm-up 5, steps at 30, 60, 80\n(smoothing not stated; decay 1e-4; 1 trial, 5 seeds)"),
    "lars_tuned": ("#1f3f6e", "o", "LARS, tuned by several teams; schedules and decay differ\n(smoothing in part; trials not stated; 1 to 5 seeds)"),
    "lars_2017": ("#86bf90", "^", "LARS of 2017, polynomial decay, 100 epochs\n(smoothing, weight decay, trials, seeds not stated)"),
    "lars_epochs": ("#1f3f6e", "o", "LARS, polynomial decay\n(smoothing 0 or 0.1; decay 2e-5 to 2e-3;\ntrials not stated; 10 to 17 seeds)"),
}
NEEDED = {
    "points.csv": ("quantity", "series", "fit", "label", "legend", "batch", "epochs", "value", "sigma"),
    "fits.csv": ("series", "form", "forms_tried", "fit_error", "leave_one_out", "error_unit", "critical_batch", "least_steps"),
    "curves.csv": ("series", "quantity", "batch", "epochs", "value", "low", "high", "extrapolated"),
    "timed.csv": ("batch", "gpus", "time_to_train_s", "top1_percent", "top1_low", "top1_high", "top1_extrapolated", "time_to_target_s",
                  "time_to_target_low_s", "time_to_target_high_s", "target_extrapolated"),
}


def read(folder, name, needed=True):
    """Rows of a table as dicts; none if it is not there and not needed."""
    path = folder / name
    return tables.read(path, NEEDED[name], "a table of `lockstep accuracy --csv`") if needed or path.exists() else []


def number(row, key):
    return float(row[key]) if row[key] else None


def batch_axis(ax, low, high):
    ticks = [2**k for k in range(5, 19) if low <= 2**k <= high]
    ax.set_xscale("log", base=2)
    ax.set_xlim(low, high)
    ax.set_xticks(ticks, [f"{t // 1024}k" if t >= 1024 else str(t) for t in ticks])
    ax.set_xlabel("global batch, images")
    ax.grid(True, color="0.92")
    ax.set_axisbelow(True)


def line(ax, rows, look, convert=lambda batch, value: value, label=None):
    """A fitted form with its band: whole within the points, dashed outside."""
    colour = look[0]
    for extrapolated in ("no", "yes"):
        parts, part = [], []
        for r in rows:
            if r["extrapolated"] == extrapolated:
                part.append(r)
            elif part:
                parts.append(part)
                part = []
        for part in parts + [part] if part else parts:
            x = [float(r["batch"]) for r in part]
            y, low, high = ([convert(b, float(r[k])) for b, r in zip(x, part)] for k in ("value", "low", "high"))
            ax.plot(x, y, color=colour, linewidth=1.8, linestyle="-" if extrapolated == "no" else (0, (4, 3)), label=label)
            ax.fill_between(x, low, high, color=colour, alpha=0.16 if extrapolated == "no" else 0.07, linewidth=0)
            label = None


def markers(ax, points, look, convert=lambda batch, value: value, label=None, filled=True):
    """Published results with bars of two standard deviations where known."""
    for p in points:
        batch, value, sigma = float(p["batch"]), float(p["value"]), float(p["sigma"])
        y = convert(batch, value)
        bars = None if sigma == 0 else [[abs(y - convert(batch, value - 2 * sigma))], [abs(convert(batch, value + 2 * sigma) - y)]]
        ax.errorbar(batch, y, yerr=bars, color=look[0], marker=look[1], markersize=6, markeredgecolor="white" if filled else look[0],
                    markerfacecolor=look[0] if filled else "white", markeredgewidth=0.8, linestyle="none", capsize=2.5, label=label, zorder=3)
        label = None


def top1_panel(ax, points, curves):
    lengths = []
    for name, short in (("sgd_untuned", "SGD"), ("lars_tuned", "LARS"), ("lars_2017", "LARS of 2017")):
        rows = [r for r in curves if r["series"] == name]
        if not rows:
            continue
        lengths.append(f"{short} {rows[0]['epochs']}")
        line(ax, rows, LOOK[name])
        at = [p for p in points if p["fit"] == name and float(p["epochs"] or 90) in (90, 100)]
        markers(ax, at, LOOK[name], label=LOOK[name][2])
    batch_axis(ax, 96, 180000)
    ax.set_ylim(60, 80)
    ax.set_ylabel("top-1, %")
    error = ax.secondary_yaxis("right", functions=(lambda a: 100 - a, lambda e: 100 - e))
    error.set_ylabel("top-1 error, %")
    error.spines["right"].set_visible(True)
    ax.set_title(f"top-1 after fixed epochs ({', '.join(lengths)})", loc="left", fontsize=10)
    ax.legend(fontsize=7, loc="lower left", framealpha=0.9)


def steps_panel(ax, points, curves, fits):
    rows = [r for r in curves if r["series"] == "lars_epochs"]
    if not rows:
        ax.set_visible(False)
        return
    def steps(batch, epochs):
        return epochs * IMAGES / batch
    line(ax, rows, LOOK["lars_epochs"], steps, label="predicted: mean of the fitted forms, 95 % band")
    markers(ax, [p for p in points if p["fit"] == "lars_epochs"], LOOK["lars_epochs"], steps,
            label="MLPerf points: " + LOOK["lars_epochs"][2])
    other = ("0.35", "D")
    markers(ax, [p for p in points if p["series"] == "mlperf_systems"], other, steps, label="MLPerf systems, kept out of the fit", filled=False)
    mean = next(f for f in fits if f["series"] == "lars_epochs" and f["form"] == "mean")
    critical, least = float(mean["critical_batch"]), float(mean["least_steps"])
    low, high = 700, 180000
    first = min((p for p in points if p["fit"] == "lars_epochs"), key=lambda p: float(p["batch"]))
    anchor = steps(float(first["batch"]), float(first["value"])) * float(first["batch"])
    ax.plot([low, high], [anchor / low, anchor / high], color="0.3", linestyle=":", linewidth=1.3, label="perfect scaling from the smallest batch")
    ax.axhline(least, color="0.55", linestyle="-.", linewidth=1.1)
    ax.annotate(f"Smin = {least:.0f} steps, of E0 (1 + B/Bc)", (low, least), textcoords="offset points", xytext=(6, 4), fontsize=8)
    ax.axvline(critical, color="0.55", linestyle="-.", linewidth=1.1)
    ax.annotate(f"critical batch\nBc = {critical:,.0f}", (critical, 430), textcoords="offset points", xytext=(-4, 0), fontsize=8, ha="right")
    batch_axis(ax, low, high)
    ax.set_yscale("log", base=2)
    ticks = [2**k for k in range(9, 17)]
    ax.set_yticks(ticks, [f"{t:,}" for t in ticks])
    ax.set_ylim(400, 50000)
    ax.set_ylabel(f"steps to {TARGET} %")
    ax.set_title(f"steps to {TARGET} % top-1", loc="left", fontsize=10)
    ax.legend(fontsize=7, loc="upper right", framealpha=0.9)


def drop_panel(ax, points):
    """Against the smallest batch of the series: recipes differ by an offset that has nothing to do with the batch."""
    for series, look, label in (
        ("goyal2017_fig3_gradual_warmup", LOOK["sgd_untuned"], "SGD, linear rule, untuned (1 trial, 5 seeds)"),
        ("lars2017_t4_maxaug", LOOK["lars_2017"], "LARS 2017, extended augmentation (trials, seeds not stated)"),
        ("lars2017_t4_minaug", ("#9a9a9a", "v"), "LARS 2017, minimal augmentation (trials, seeds not stated)"),
        ("torchlars_reproduction", ("#111111", "D"), "LARS, reproduction (trials, seeds not stated); from SGD at 256"),
    ):
        rows = sorted((p for p in points if p["series"] == series), key=lambda p: float(p["batch"]))
        if not rows:
            continue
        base = float(rows[0]["value"])
        markers(ax, rows, look, lambda b, v, base=base: v - base, label=label)
    ax.axhline(0, color="0.4", linewidth=0.9)
    batch_axis(ax, 96, 180000)
    ax.set_ylim(-11.5, 1.2)
    ax.set_ylabel("top-1 below own smallest batch, points")
    ax.set_title("drop from the series' own smallest batch, 90 or 100 epochs", loc="left", fontsize=10)
    ax.legend(fontsize=7, loc="lower left", framealpha=0.9)


def joined(rows):
    """The last row within the points again as extrapolated, so that the dashes begin where the line ends."""
    out = []
    for r, following in zip(rows, rows[1:] + [None]):
        out.append(r)
        if following and (r["extrapolated"], following["extrapolated"]) == ("no", "yes"):
            out.append({**r, "extrapolated": "yes"})
    return out


def timed_panels(upper, lower, timed, points):
    """Top-1 at the run's end above, time below, over the same batches: a figure after Yamazaki et al. 2019, Fig. 3. How many epochs the run has, its table
    does not tell."""
    rows = sorted(timed, key=lambda r: float(r["batch"]))
    x = [float(r["batch"]) for r in rows]
    colour = LOOK["lars_tuned"]
    have = [{"batch": r["batch"], "value": r["top1_percent"], "low": r["top1_low"], "high": r["top1_high"], "extrapolated": r["top1_extrapolated"]}
            for r in rows if r["top1_percent"]]
    line(upper, joined(have), colour, label="predicted at the end of the run, 95 % band")
    ends = [float(r[k]) for r in have for k in ("low", "high")]
    upper.set_ylim(min([72, *ends]), max([79, *ends]))
    upper.set_ylabel("top-1, %")
    upper.set_title(f"top-1 and time of one run file at other batches, on {rows[0]['gpus']} GPUs", loc="left", fontsize=10)
    reaching = [{"batch": r["batch"], "value": r["time_to_target_s"], "low": r["time_to_target_low_s"], "high": r["time_to_target_high_s"],
                 "extrapolated": r["target_extrapolated"]} for r in rows if r["time_to_target_s"]]
    if reaching:  # only of a run with LARS
        near = [p for p in points if p["fit"] == "lars_tuned" and min(x) <= float(p["batch"]) <= max(x)]
        markers(upper, near, colour, label="published LARS results (seeds 1 to 5)")
        upper.axhline(TARGET, color="0.5", linewidth=1, linestyle="-.")
        upper.annotate(f"{TARGET} %", (max(x), TARGET), textcoords="offset points", xytext=(-2, 3), fontsize=8, ha="right")
    line(lower, joined(reaching), ("#c8501e",), label=f"to {TARGET} %, predicted (band: epochs alone)")
    lower.plot(x, [float(r["time_to_train_s"]) for r in rows], color="0.25", linewidth=2, linestyle=":", label="the whole run, simulated")
    lower.set_ylim(0, None)
    lower.set_ylabel("time, s")
    lower.set_xlabel("global batch, images")
    for ax, where in ((upper, "lower left"), (lower, "best")):
        ax.set_xscale("log", base=2)
        ax.set_xticks(x, [f"{int(b):,}" for b in x] if ax is lower else [""] * len(x), rotation=30, fontsize=8)
        ax.minorticks_off()
        ax.grid(True, color="0.92")
        ax.set_axisbelow(True)
        ax.legend(fontsize=7, loc=where, framealpha=0.9)


def plot(folder):
    folder = pathlib.Path(folder)
    points, fits, curves = (read(folder, name) for name in ("points.csv", "fits.csv", "curves.csv"))
    timed = read(folder, "timed.csv", needed=False)
    names = [["top1", "steps"], ["top1", "steps"], ["drop", "upper" if timed else "."], ["drop", "lower" if timed else "."]]
    fig, axes = style.mosaic(names, 13.5, 10.5)
    top1_panel(axes["top1"], points, curves)
    steps_panel(axes["steps"], points, curves, fits)
    drop_panel(axes["drop"], points)
    if timed:
        timed_panels(axes["upper"], axes["lower"], timed, points)
    used = "; ".join(
        f"{f['series']}: fit {float(f['fit_error']):.2g}, left out {float(f['leave_one_out']):.2g} {f['error_unit']}, {f['forms_tried']} forms tried"
        for f in fits if f["form"] == "mean")
    note = (
        "Markers: published, bars two standard deviations where known; lines: the mean of the forms that were fitted (weighted by AICc) with 95 % bands; dashes: extrapolation. Budget: fixed epochs (left), fixed target "
        "(top right). LARS and SGD recipes differ in smoothing and decay too, so offsets at small batch are not the optimizer's. "
        "Tuned SGD is not excluded: Nado et al. 2021 (arXiv:2102.06356) reach 75.9 % at batch 32,768 with Nesterov momentum. " + used)
    fig.supxlabel("\n".join(textwrap.wrap(note, 235)), fontsize=7.5, x=0.01, ha="left")
    style.save(fig, folder / "accuracy")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(sys.argv[1])
