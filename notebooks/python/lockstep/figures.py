"""Figures of predictions and sweeps, in the look of the program's own plots. Each returns a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

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
KINDS = {"forward": "#1f3f6e", "backward": "#4f86c0", "update": "#7a7a7a", "bucket": "#c8501e", "allreduce": "#c8501e", "load": "#d0d0d0"}


def _rate(value: float, _=None) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _axes(width: float, height: float):
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(width, height), constrained_layout=True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


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
    table = table.dropna(subset=["images_per_s"]).sort_values("gpus")
    if table.empty:
        raise ValueError("no row has a prediction")
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


def timeline(prediction: "Prediction", rank: int | None = None) -> "matplotlib.figure.Figure":
    """The lanes of one rank over time, in ms; needs simulate(trace=True). Default: the first traced rank."""
    frame = prediction.timeline
    rank = int(frame["rank"].iloc[0]) if rank is None else rank
    frame = frame[(frame["rank"] == rank) & (frame["step"] == frame["step"].min())]
    if frame.empty:
        raise ValueError(f"rank {rank} was not traced; expected one of output.trace_ranks")
    lanes = [name for name in dict.fromkeys(frame["lane"])]
    figure, axes = _axes(9.0, 0.9 + 0.45 * len(lanes))
    start = frame["begin_ms"].min()
    for row, lane in enumerate(lanes):
        part = frame[frame["lane"] == lane]
        colors = [next((c for kind, c in KINDS.items() if name.startswith(kind)), "#9a9a9a") for name in part["name"]]
        edge = {"edgecolor": "white", "linewidth": 0.5} if len(part) < 40 else {"linewidth": 0}
        axes.broken_barh(list(zip(part["begin_ms"] - start, part["end_ms"] - part["begin_ms"])), (row - 0.36, 0.72), facecolors=colors, **edge)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.invert_yaxis()
    axes.set_xlabel(f"ms after the start of the step, rank {rank}")
    return figure
