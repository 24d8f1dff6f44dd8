"""One look for every figure: readable in colour and in grey, drawn without a display."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PREDICTED = {"color": "#1f5fa8", "marker": "o", "markersize": 5, "linewidth": 1.8}
PUBLISHED = {"color": "#c8501e", "marker": "D", "markersize": 7, "linestyle": "none"}
IDEAL = {"color": "0.55", "linestyle": "--", "linewidth": 1.2}
# Parts of a step, dark to light, so that they stay apart in grey.
PARTS = [
    ("forward_ms", "forward", "#1f3f6e", ""),
    ("backward_ms", "backward", "#4f86c0", ""),
    ("exposed_ms", "exposed communication", "#c8501e", "//"),
    ("straggler_ms", "waiting for the slowest", "#e8a33d", ".."),
    ("update_ms", "optimizer", "#7a7a7a", ""),
    ("input_ms", "input", "#d0d0d0", ""),
]


def _look():
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "lockstep"})


def figure(width=7.0, height=4.4, **kwargs):
    """A figure and its axes with light grids and no box."""
    _look()
    return plt.subplots(figsize=(width, height), constrained_layout=True, **kwargs)


def mosaic(names, width=7.0, height=4.4):
    """The same with axes by name, laid out as the rows of `names` say; "." is empty."""
    _look()
    return plt.subplot_mosaic(names, figsize=(width, height), constrained_layout=True)


def save(fig, path):
    """Writes PATH.png and PATH.svg, without dates, so that equal data give equal files."""
    fig.savefig(f"{path}.png", dpi=150, metadata={"Software": None})
    fig.savefig(f"{path}.svg", metadata={"Date": None})
    plt.close(fig)
