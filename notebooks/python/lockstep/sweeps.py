"""Many what-ifs at once."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping

import pandas as pd

from . import _core
from .files import sweep_frame
from .run import Run, RunOrPath, as_value, data_directory, listed, loaded


def _item(value: Any) -> str:
    """A word stays as it is, so that it stands in the table as it is; text that the program would split is quoted."""
    return value if isinstance(value, str) and not set(value) & set(',"\'[]{}') else as_value(value)


def _values(values: Any) -> str:
    """"4..2048" stays a range of the program; a list becomes its items, a single value itself."""
    return values if isinstance(values, str) else ",".join(_item(v) for v in listed(values))


def sweep(run: RunOrPath, over: Mapping[str, Any], *, per_gpu_batch: int | str | Iterable[int] | None = None,
          zip: bool = False, efficiency: bool = False, jobs: int = 0,
          progress: Callable[[float], None] | None = None) -> pd.DataFrame:
    """Predicts every combination of `over` (dotted path -> a value, values, or a range as `lockstep sweep --help` explains it: "4..2048"), on `jobs`
    threads (0: all cores). One row per point, in order, with the columns of results.csv; a point that failed has its message in `error`.
    What is swept goes before the run's own values. `per_gpu_batch` lets the global batch follow the GPUs. `zip` walks the axes together. Raises ConfigError where no point could run.

    >>> from lockstep import load
    >>> list(sweep(load("experiments/dgx_ladders/run.toml"), over={"cluster.gpus": "2..8"}, per_gpu_batch=64)["global_batch"])
    [128, 256, 512]
    """
    run = loaded(run)
    overs = [f"{path}={_values(values)}" for path, values in over.items()]
    batch = "" if per_gpu_batch is None else _values(per_gpu_batch)
    swept = set(over) | ({"training.global_batch"} if batch else set())
    fixed = Run(run.file, {path: value for path, value in run.values.items() if path not in swept})
    columns, rows = _core.sweep(str(run.file), fixed.sets, str(data_directory()), overs, batch, zip, efficiency, jobs, progress)
    return sweep_frame(pd.DataFrame(rows, columns=columns))
