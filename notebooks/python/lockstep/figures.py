"""Figures of predictions and sweeps, in the look of the program's own plots. Each returns a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Mapping

    import matplotlib.figure
    import pandas as pd

    from .accuracy_curves import Accuracy
    from .prediction import Prediction

PARTS = [
    ("forward", "forward", "#1f3f6e", ""),
    ("backward", "backward", "#4f86c0", ""),
    ("exposed", "exposed communication", "#c8501e", "//"),
    ("straggler", "waiting for the slowest", "#e8a33d", ".."),
    ("update", "optimizer", "#7a7a7a", ""),
    ("input", "input", "#d0d0d0", ""),
]
PREDICTED, IDEAL = "#1f5fa8", "0.55"
# Series, apart in colour and, by line and marker, in grey.
SERIES = [("#1f3f6e", "o", "-"), ("#c8501e", "s", "--"), ("#4f86c0", "^", "-."), ("#e8a33d", "D", ":"), ("#7a7a7a", "v", "-"), ("#20804a", "P", "--")]
LABELS = {"step_ms": "step time, ms", "exposed_ms": "exposed communication, ms", "straggler_ms": "waiting for the slowest, ms", "images_per_s": "images/s",
          "time_to_train_s": "time to train, s", "gpu_hours": "GPU-hours", "efficiency": "efficiency against one GPU", "top1_percent": "top-1, %"}
KINDS = {"forward": "#1f3f6e", "backward": "#4f86c0", "update": "#7a7a7a", "bucket": "#c8501e", "allreduce": "#c8501e", "load": "#d0d0d0"}


def _rate(value: float, _=None) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _size(size: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def _axes(width: float, height: float):
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(width, height), constrained_layout=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _predicted(table: "pd.DataFrame", value: str, *others: str | None) -> "pd.DataFrame":
    """The rows that have a `value`. ValueError: a column that is not there, no such row."""
    missing = [name for name in (value, *others) if name is not None and name not in table]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}; expected a table of lockstep.sweep")
    table = table.dropna(subset=[value])
    if table.empty:
        raise ValueError("no row has a prediction")
    return table


def step_parts(predictions: "dict[str, Prediction]") -> "matplotlib.figure.Figure":
    """Stacked bars: where the step of each named prediction goes, in ms."""
    figure, axes = _axes(1.6 + 1.1 * len(predictions) + 2.4, 3.8)
    bottom = [0.0] * len(predictions)
    longest = max(p.step_ms for p in predictions.values())
    for key, label, color, hatch in PARTS:
        heights = [p.parts_ms[key] for p in predictions.values()]
        if max(heights) < 0.005 * longest:
            continue
        axes.bar(range(len(heights)), heights, bottom=bottom, label=label, color=color, hatch=hatch, edgecolor="white", width=0.7)
        bottom = [b + h for b, h in zip(bottom, heights)]
    axes.set_xticks(range(len(predictions)), list(predictions))
    axes.set_ylabel("step time, ms")
    axes.grid(True, axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def scaling(table: "pd.DataFrame") -> "matplotlib.figure.Figure":
    """Images/s against GPUs (log-log) of a sweep over cluster.gpus, or of Prediction.scaling, beside the ideal line from its first row."""
    table = _predicted(table, "images_per_s", "gpus").sort_values("gpus")
    figure, axes = _axes(5.6, 4.0)
    first = table.iloc[0]
    axes.plot(table["gpus"], first["images_per_s"] / first["gpus"] * table["gpus"], color=IDEAL, linestyle="--", linewidth=1.2,
              label=f"ideal, from {first['gpus']:g} GPU{'s' if first['gpus'] > 1 else ''}")
    axes.plot(table["gpus"], table["images_per_s"], color=PREDICTED, marker="o", linewidth=1.8, label="predicted")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(table["gpus"]), [f"{n:g}" for n in table["gpus"]])
    axes.set_yticks(list(table["images_per_s"]), [_rate(v) for v in table["images_per_s"]])
    axes.minorticks_off()
    axes.set_xlabel("GPUs")
    axes.set_ylabel("images/s")
    axes.grid(True, color="0.9")
    axes.legend(frameon=False)
    return figure


def lines(table: "pd.DataFrame", x: str, by: str | None = None, value: str = "step_ms", *, log: bool = False, xlabel: str | None = None,
          names: "Mapping[str, str] | None" = None) -> "matplotlib.figure.Figure":
    """`value` of a sweep's rows over the values of column `x`, at even distances in the order of the rows; one line per value of column `by`,
    called as `names` says. `log`: a log scale of values. Rows without a prediction are left out. At most six lines: ValueError."""
    table = _predicted(table, value, x, by)
    places = {v: i for i, v in enumerate(dict.fromkeys(table[x]))}
    groups = list(table.groupby(by, sort=False)) if by else [(None, table)]
    if len(groups) > len(SERIES):
        raise ValueError(f"{len(groups)} lines; expected at most {len(SERIES)}")
    figure, axes = _axes(6.4, 3.8)
    for (name, rows), (color, marker, style) in zip(groups, SERIES):
        axes.plot([places[v] for v in rows[x]], rows[value], color=color, marker=marker, linestyle=style, linewidth=1.8, markersize=6,
                  label=(names or {}).get(name, str(name)))
    axes.set_xticks(range(len(places)), [str(v) for v in places])
    if log:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_rate))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(xlabel or x)
    axes.set_ylabel(LABELS.get(value, value))
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    if by:
        axes.legend(frameon=False)
    return figure


def heat_map(table: "pd.DataFrame", x: str, y: str, value: str = "step_ms", *, xlabel: str | None = None,
             ylabel: str | None = None) -> "matplotlib.figure.Figure":
    """A map of `value` over two columns, in the order of the rows, the first row of `y` below; its figure stands in every cell ("-": none).
    Colours are on a log scale, dark for small values. Of equal cells the last row counts."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    cells = {(row[x], row[y]): row[value] for _, row in _predicted(table, value, x, y).iterrows()}
    across, up = list(dict.fromkeys(table[x])), list(dict.fromkeys(table[y]))
    grid = [[cells.get((i, j), float("nan")) for i in across] for j in up]
    norm = LogNorm(min(cells.values()), max(max(cells.values()), 1.01 * min(cells.values())))
    figure, axes = _axes(2.6 + 0.75 * len(across), 1.5 + 0.5 * len(up))
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap="cividis", norm=norm)
    for j, row in enumerate(grid):
        for i, v in enumerate(row):
            axes.text(i, j, _rate(v) if v == v else "-", ha="center", va="center", color="white" if v == v and norm(v) < 0.55 else "black")
    axes.set_xticks(range(len(across)), [str(v) for v in across])
    axes.set_yticks(range(len(up)), [str(v) for v in up])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(xlabel or x)
    axes.set_ylabel(ylabel or y)
    bar = figure.colorbar(image, ax=axes, label=LABELS.get(value, value), format=_rate, ticks=LogLocator(base=10, subs=(1, 2, 5)))
    bar.minorticks_off()
    bar.outline.set_visible(False)
    return figure


def bus_bandwidth(tables: "Mapping[str, pd.DataFrame]") -> "matplotlib.figure.Figure":
    """Bus bandwidth against size of named tables of lockstep.collective, log-log. At most six: ValueError."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    if len(tables) > len(SERIES):
        raise ValueError(f"{len(tables)} lines; expected at most {len(SERIES)}")
    figure, axes = _axes(6.4, 3.8)
    sizes = sorted({int(b) for table in tables.values() for b in table["bytes"] if b > 0})
    for (name, table), (color, marker, style) in zip(tables.items(), SERIES):
        table = table[table["bytes"] > 0]
        axes.plot(table["bytes"], table["busbw_GBps"], color=color, marker=marker, linestyle=style, linewidth=1.8, markersize=5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes[:: -(-len(sizes) // 9)], [_size(b) for b in sizes[:: -(-len(sizes) // 9)]])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(_rate))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("size")
    axes.set_ylabel("bus bandwidth, GB/s")
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure


def training(log: "pd.DataFrame") -> "matplotlib.figure.Figure":
    """Loss of the last step before each line of a log (read_log), and loss and top-1 at each evaluation, over epochs."""
    steps, tests = (log[log["event"] == event].sort_values("step") for event in ("steps", "evaluation"))
    if steps.empty:
        raise ValueError("no steps in the log yet")
    figure, loss = _axes(7.2, 3.8)
    loss.plot(steps["epoch"], steps["loss"], color=SERIES[0][0], linewidth=1.3, label="loss of a training step")
    if "loss" in tests and tests["loss"].notna().any():
        loss.plot(tests["epoch"], tests["loss"], color=SERIES[1][0], marker="D", markersize=6, linestyle="none", label="loss on the test images")
    lines, axes = loss.get_lines(), [loss]
    loss.set_xlabel("epoch")
    loss.set_ylabel("cross-entropy")
    loss.set_ylim(bottom=0)
    loss.grid(True, color="0.9")
    if "top1_percent" in tests and tests["top1_percent"].notna().any():
        top1 = loss.twinx()
        top1.plot(tests["epoch"], tests["top1_percent"], color=SERIES[2][0], marker="o", linestyle="--", linewidth=1.8, label="top-1 on the test images (right)")
        last = tests.dropna(subset=["top1_percent"]).iloc[-1]
        top1.annotate(f"{last['top1_percent']:.1f} %", (last["epoch"], last["top1_percent"]), textcoords="offset points", xytext=(0, 8), ha="right")
        top1.set_ylabel("top-1, %")
        top1.set_ylim(0, 105)
        top1.spines[["top", "left"]].set_visible(False)
        axes.append(top1)
        lines = [*lines, *top1.get_lines()]
    axes[-1].legend(lines, [line.get_label() for line in lines], frameon=False, loc="center right")
    return figure


def timeline(prediction: "Prediction | pd.DataFrame", rank: int | None = None) -> "matplotlib.figure.Figure":
    """The lanes of one rank over time, in ms, of a prediction (with simulate(trace=True)) or a frame of read_trace: its first step. Default: the first
    traced rank."""
    frame = getattr(prediction, "timeline", prediction)
    rank = int(frame["rank"].iloc[0]) if rank is None else rank
    frame = frame[(frame["rank"] == rank) & (frame["step"] == frame["step"].min())]
    if frame.empty:
        raise ValueError(f"rank {rank} was not traced; expected one of output.trace_ranks")
    lanes = [name for name in dict.fromkeys(frame["lane"])]
    figure, axes = _axes(9.0, 0.9 + 0.45 * len(lanes))
    start = frame["begin_ms"].min()
    span = frame["end_ms"].max() - start
    for row, lane in enumerate(lanes):
        part = frame[frame["lane"] == lane]
        colors = [next((c for kind, c in KINDS.items() if name.startswith(kind)), "#9a9a9a") for name in part["name"]]
        lengths = part["end_ms"] - part["begin_ms"]
        # What is too short to be seen keeps a line of its own colour.
        edges = ["white" if len(part) < 40 and length > 0.004 * span else color for length, color in zip(lengths, colors)]
        axes.broken_barh(list(zip(part["begin_ms"] - start, lengths)), (row - 0.36, 0.72), facecolors=colors, edgecolors=edges, linewidth=0.5)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.invert_yaxis()
    axes.set_xlabel(f"ms after the start of the step, rank {rank}")
    return figure


_ACCURACY = {  # optimizer, schedule, smoothing, decay, trials, seeds, as data/published/recipes.csv has them
    "sgd_untuned": ("#c8501e", "s", "SGD Nesterov 0.9, linear rule, untuned; warm-up 5, steps at 30, 60, 80\n(90 epochs; smoothing not stated; decay 1e-4; 1 trial, 5 seeds)"),
    "lars_tuned": ("#1f3f6e", "o", "LARS, tuned by several teams; schedules and decay differ\n(about 90 epochs; smoothing in part; trials not stated; 1 to 5 seeds)"),
    "lars_2017": ("#5f9e6e", "^", "LARS of 2017, polynomial decay\n(100 epochs; smoothing, decay, trials, seeds not stated)"),
    "lars_epochs": ("#1f3f6e", "o", "MLPerf points: LARS, polynomial decay (smoothing 0 or 0.1;\ndecay 2e-5 to 2e-3; trials not stated; 10 to 17 seeds)"),
}


def _batches(axes, low: float, high: float) -> None:
    ticks = [2**k for k in range(5, 18) if low <= 2**k <= high]
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{t // 1024}k" if t >= 1024 else str(t) for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("global batch, images")
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)


def _curve(axes, rows: "pd.DataFrame", color: str, factor=1.0, label: "str | None" = None) -> None:
    """Line (with `label`) and band, dashed where `extrapolated`; dashes begin and end at the points' range."""
    inside = rows[~rows["extrapolated"]]
    parts = [(inside, "-", 0.16)]
    if not inside.empty:
        parts += [(rows[rows["batch"] <= inside["batch"].min()], (0, (4, 3)), 0.07), (rows[rows["batch"] >= inside["batch"].max()], (0, (4, 3)), 0.07)]
    else:
        parts = [(rows, (0, (4, 3)), 0.07)]
    for part, style, alpha in parts:
        scale = factor / part["batch"] if factor != 1.0 else 1.0
        axes.plot(part["batch"], part["value"] * scale, color=color, linewidth=1.8, linestyle=style, label=label)
        label = None
        axes.fill_between(part["batch"], part["low"] * scale, part["high"] * scale, color=color, alpha=alpha, linewidth=0)


def top1_against_batch(found: "Accuracy") -> "matplotlib.figure.Figure":
    """Top-1 at a fixed number of epochs against log2 batch, of accuracy(): published results (bars: two standard deviations), the prediction with its band."""
    figure, axes = _axes(7.2, 4.4)
    for series in ("sgd_untuned", "lars_tuned", "lars_2017"):
        color, marker, label = _ACCURACY[series]
        rows = found.curves[found.curves["series"] == series]
        if rows.empty:
            continue
        _curve(axes, rows, color)
        points = found.points[(found.points["fit"] == series) & found.points["epochs"].fillna(90).isin([90, 100])]
        axes.errorbar(points["batch"], points["value"], yerr=2 * points["sigma"], color=color, marker=marker, markeredgecolor="white", markersize=6.5,
                      linestyle="none", label=label, zorder=3)
    _batches(axes, 96, 180000)
    axes.set_ylim(60, 80)
    axes.set_ylabel("top-1, %")
    axes.legend(frameon=False, loc="lower left", fontsize=7.5)
    return figure


def steps_to_target(found: "Accuracy") -> "matplotlib.figure.Figure":
    """Steps to 75.9 % against batch, both logarithmic, of accuracy(): published points, the prediction with its band, perfect scaling from the
    smallest batch, and the critical batch with the steps below which nothing falls."""
    images = 1281167
    figure, axes = _axes(6.4, 4.4)
    color, marker, label = _ACCURACY["lars_epochs"]
    rows = found.curves[found.curves["series"] == "lars_epochs"]
    if rows.empty:
        raise ValueError("lars_epochs was not asked for; expected accuracy() with that series")
    _curve(axes, rows, color, images)
    points = found.points[found.points["fit"] == "lars_epochs"].sort_values("batch")
    axes.plot(points["batch"], points["value"] * images / points["batch"], color=color, marker=marker, markeredgecolor="white", markersize=6.5,
              linestyle="none", label=label, zorder=3)
    first = points.iloc[0]
    axes.plot([700, 180000], [first["value"] * images / b for b in (700, 180000)], color=IDEAL, linestyle=":", linewidth=1.3, label="perfect scaling")
    mean = found.fits[(found.fits["series"] == "lars_epochs") & (found.fits["form"] == "mean")].iloc[0]
    axes.axvline(mean["critical_batch"], color=IDEAL, linestyle="-.", linewidth=1.1, label=f"critical batch {mean['critical_batch']:,.0f} of E0 (1 + B/Bc)")
    axes.axhline(mean["least_steps"], color=IDEAL, linestyle=(0, (1, 1)), linewidth=1.1, label=f"least steps {mean['least_steps']:,.0f} of the same")
    _batches(axes, 700, 180000)
    axes.set_yscale("log", base=2)
    ticks = [2**k for k in range(9, 16)]
    axes.set_yticks(ticks, [f"{t:,}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylim(400, 50000)
    axes.set_ylabel("steps to 75.9 %")
    axes.legend(framealpha=0.95, edgecolor="none", loc="upper right", fontsize=8)
    return figure


def time_to_target(table: "pd.DataFrame") -> "matplotlib.figure.Figure":
    """Seconds to the target (columns seconds, low, high) against batch, and the epochs that it takes (epochs); dashed where extrapolated."""
    figure, axes = _axes(6.4, 4.2)
    table = table.sort_values("batch")
    _curve(axes, table.rename(columns={"seconds": "value"}), PREDICTED, label="time to 75.9 %, predicted (band: epochs)")
    right = axes.twinx()
    right.plot(table["batch"], table["epochs"], color="#c8501e", linestyle=":", linewidth=1.8, label="epochs (right)")
    right.set_ylim(0, None)
    right.set_ylabel("epochs")
    _batches(axes, table["batch"].min() / 1.1, table["batch"].max() * 1.1)
    axes.set_ylim(0, None)
    axes.set_ylabel("seconds")
    handles, names = axes.get_legend_handles_labels()
    more, others = right.get_legend_handles_labels()
    axes.legend(handles + more, names + others, frameon=False, loc="lower left")
    return figure


def measured_accuracy(trials: "pd.DataFrame") -> "matplotlib.figure.Figure":
    """Top-1 against log2 batch, of read_trials(): every fresh seed a pale point, means joined, bars of one standard deviation; legend: series, trials that
    chose the rate, seeds. Series of one batch (warm-up variants) are left out; a trial whose loss was no number is a cross at the lower edge and in no mean.
    ValueError: no finished trial with a fresh seed."""
    final = trials[(trials["stage"] == "final") & trials["error"].isna()]
    if final.empty:
        raise ValueError("no finished trial with a fresh seed; expected a table of lockstep.read_trials")
    batches = final.groupby("series", sort=False)["batch"].nunique()
    names = [name for name in batches.index if batches[name] > 1] or list(batches.index)
    figure, axes = _axes(7.2, 4.4)
    for i, name in enumerate(names):
        color, marker, line = SERIES[i % len(SERIES)]
        rows = final[final["series"] == name]
        beside = 2 ** (0.12 * (i - (len(names) - 1) / 2))  # equal batches side by side
        good = rows[rows["diverged"] == "no"]
        stats = good.groupby("batch")["top1_percent"].agg(["mean", "std"])
        axes.plot(good["batch"] * beside, good["top1_percent"], color=color, marker=marker, markersize=3.5, linestyle="none", alpha=0.45)
        axes.errorbar(stats.index * beside, stats["mean"], yerr=stats["std"].fillna(0), color=color, marker=marker, linestyle=line, markersize=6, capsize=3,
                      label=f"{name}: rate from {rows['tuning_trials'].iloc[0]} trials, {rows['seed'].nunique()} seeds")
        bad = rows[rows["diverged"] == "yes"]
        axes.plot(bad["batch"] * beside, [0.0] * len(bad), color=color, marker="x", markersize=8, markeredgewidth=2, linestyle="none", clip_on=False)
    _batches(axes, final["batch"].min() / 1.4, final["batch"].max() * 1.4)
    axes.set_ylim(0, None)
    axes.set_ylabel(f"top-1 after {final['epochs'].iloc[0]:g} epochs, %")
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    return figure
