"""Predictions of a run."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable, Mapping

import pandas as pd

from . import _core
from .files import trace_frame
from .run import Run, RunOrPath, data_directory, loaded


@dataclasses.dataclass(frozen=True)
class Band:
    """A figure with the band that it is believed to lie in."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What `lockstep simulate` finds out. Units stand in the names: ms, s; images_per_s over all GPUs."""

    run: Run
    gpus: int
    global_batch: int
    step_ms: float
    images_per_s: float
    parts_ms: Mapping[str, float]  # forward, backward, exposed, straggler, update, input; sums to step_ms
    time_to_train_s: float
    steps: int
    top1_percent: Band | None  # None where no published accuracies cover the run
    step_band_ms: Band | None  # None unless simulate(interval=True)
    warnings: tuple[str, ...]
    event_digest: str  # equal for equal runs
    json: Mapping[str, Any]  # all that result.json holds
    _trace: str = dataclasses.field(repr=False, default="")

    @property
    def buckets(self) -> pd.DataFrame:
        """One row per gradient bucket: bytes, algorithm, protocol, ready_ms, begin_ms, end_ms after the step's start."""
        return pd.DataFrame(self.json["buckets"])

    @property
    def time_to_target_s(self) -> Band | None:
        """Seconds to the top-1 of json["to_target"], with the band of the epochs that it takes; None where no published points cover the run. Which recipe
        the constants belong to: json["accuracy_recipe"]."""
        return _band(self.json.get("to_target", {}).get("seconds"))

    @property
    def scaling(self) -> pd.DataFrame:
        """The curve over the world sizes of output.curve: gpus, step_ms, images_per_s, efficiency and the parts in ms."""
        rows = [{**{k: v for k, v in row.items() if k != "parts_ms"}, **{f"{k}_ms": v for k, v in row["parts_ms"].items()}}
                for row in self.json["scaling"]]
        return pd.DataFrame(rows)

    @property
    def ladder(self) -> pd.DataFrame:
        """simulate(explain=True): effect, step_ms with it and all before it."""
        return pd.DataFrame(self.json.get("ladder", []), columns=["effect", "step_ms"])

    @property
    def sensitivity(self) -> pd.DataFrame:
        """simulate(interval=True): what the step would be at both ends of each banded parameter, largest effect first."""
        return pd.DataFrame(self.json.get("sensitivity", []), columns=["parameter", "step_at_low_ms", "step_at_high_ms"])

    @property
    def timeline(self) -> pd.DataFrame:
        """simulate(trace=True): rank, lane, step, name, begin_ms, end_ms, bytes of the traced ranks."""
        if not self._trace:
            raise ValueError("this prediction was made without a trace; expected simulate(run, trace=True)")
        return trace_frame(json.loads(self._trace))


def _band(figure: Mapping[str, float] | None) -> Band | None:
    return None if figure is None else Band(figure["value"], figure["low"], figure["high"])


def simulate(run: RunOrPath, *, curve: bool = False, interval: bool = False, explain: bool = False, trace: bool = False,
             progress: Callable[[float], None] | None = None) -> Prediction:
    """Predicts `run`. `curve` adds the scaling curve, `interval` the band of the step (2 simulations per parameter), `explain` the ladder of
    effects, `trace` the timeline. `progress` is called with a fraction in [0, 1]; what it raises stops the work. Raises ConfigError.

    >>> from lockstep import load
    >>> found = simulate(load("experiments/dgx_ladders/run.toml"))
    >>> abs(found.images_per_s - found.global_batch / found.step_ms * 1000) < 1
    True
    """
    run = loaded(run)
    text, events = _core.simulate(str(run.file), run.sets, str(data_directory()), curve, interval, explain, trace, progress)
    found = json.loads(text)
    band = Band(found["step_ms"], found["step_low_ms"], found["step_high_ms"]) if "step_low_ms" in found else None
    return Prediction(run=run, gpus=found["gpus"], global_batch=found["global_batch"], step_ms=found["step_ms"],
                      images_per_s=found["images_per_s"], parts_ms=found["parts_ms"], time_to_train_s=found["time_to_train_s"],
                      steps=found["steps"], top1_percent=_band(found.get("top1_percent")), step_band_ms=band,
                      warnings=tuple(found["warnings"]), event_digest=found["event_digest"], json=found, _trace=events)
