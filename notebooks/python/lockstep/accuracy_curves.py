"""Accuracy against batch size: what was published, what the program fits to it, what it predicts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Iterable

import pandas as pd

from . import _core
from .run import data_directory, listed


@dataclass(frozen=True)
class Accuracy:
    """Frames of `lockstep accuracy --csv`. Batches are images per step, top-1 is in percent; a column `quantity` tells "epochs" (to 75.9 %) from
    "top1_percent"."""

    points: pd.DataFrame
    """Every published result: quantity, series, fit (that uses it, or missing), legend, batch, epochs, value, sigma, confidence, note."""
    learning_curves: pd.DataFrame
    """Top-1 over the course of published runs: series, legend, run, batch, warmup_epochs, epoch, top1_percent, seconds since the run's start."""
    fits: pd.DataFrame
    """A row per fitted form and one named "mean", which predicts: weight, constants, fit_error, leave_one_out, error_unit, aicc."""
    left_out: pd.DataFrame
    """A row per fitted point: published, and predicted, low, high from all other points; inside: "yes", "no" or "refused"."""
    curves: pd.DataFrame
    """The prediction at 16 batches per doubling: value, low, high, extrapolated."""
    predictions: pd.DataFrame
    """The prediction at the batches asked for; missing values where nothing can be said."""
    caveat: str
    """What must stand beside any comparison of LARS with SGD."""


def _frame(text: str) -> pd.DataFrame:
    frame = pd.read_csv(io.StringIO(text))
    if "extrapolated" in frame:
        frame["extrapolated"] = frame["extrapolated"].map({"yes": True, "no": False})
    return frame


def accuracy(*, series: str | Iterable[str] = (), batch: float | Iterable[float] = (), epochs: float = 90) -> Accuracy:
    """Published, fitted and predicted accuracy, as `lockstep accuracy --series --batch --epochs`. `series`: lars_epochs, lars_tuned, lars_2017,
    sgd_untuned (default: all); `batch`: global batches to predict (default: 2,048 to 131,072); `epochs`: length of the predicted runs.
    ConfigError, as the program prints it, for an unknown series (with the nearest name), a batch that no fit covers, and damaged files of data/published."""
    tables = _core.accuracy(listed(series), [float(b) for b in listed(batch)], float(epochs), str(data_directory()))
    return Accuracy(**{name: tables[name] if name == "caveat" else _frame(tables[name])
                       for name in ("points", "learning_curves", "fits", "left_out", "curves", "predictions", "caveat")})
