"""What the program writes, as pandas frames."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, Mapping, Sequence

import pandas as pd

from . import _core
from ._core import ConfigError

LOG_FORMAT = 1  # kLogFormat of the program
_TRIALS = ("series", "stage", "optimizer", "batch", "rate", "epochs", "tuning_trials", "seed", "steps", "top1_percent", "diverged", "error")


def _open(path: pathlib.Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path}: no such file; expected {what}") from None
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: byte {e.start} is no UTF-8; expected {what}") from None


def _table(path: pathlib.Path, columns: Sequence[str], what: str) -> pd.DataFrame:
    """A table as text, which must have `columns`. ConfigError as the program's: file:line:column, what was expected, what was found."""
    names, rows = _core.table(_open(path, what), str(path), list(columns))
    return pd.DataFrame(rows, columns=names)


def sweep_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Texts of a table's rows as numbers where all of a column are; empty cells as missing values."""
    frame = frame.replace("", None)
    for name in frame.columns:
        if name in ("event_digest", "inputs_digest", "digest", "doubts", "warnings", "error"):
            continue
        try:
            frame[name] = pd.to_numeric(frame[name])
        except (ValueError, TypeError):
            pass
    return frame


def read_sweep(directory: str | os.PathLike) -> pd.DataFrame:
    """results.csv of `lockstep sweep`."""
    path = pathlib.Path(directory) / "results.csv"
    return sweep_frame(_table(path, ("index", "step_ms", "images_per_s", "error"), "a result directory of `lockstep sweep`"))


def read_trials(directory: str | os.PathLike) -> pd.DataFrame:
    """trials.csv of `lockstep train --sweep`: one row per real run, with its recipe, stage ("tune" or "final"), seed, top1_percent (missing where the loss was no
    longer a number; diverged tells), wall_s and error (missing: none)."""
    path = pathlib.Path(directory) / "trials.csv"
    return sweep_frame(_table(path, _TRIALS, "a result directory of `lockstep train --sweep`"))


def read_log(directory: str | os.PathLike) -> pd.DataFrame:
    """log.jsonl of `lockstep train`: one row per record ("event": start, steps, evaluation, checkpoint, warning, end). Of steps that were logged
    twice (a resumed run) the later record counts. ConfigError tells file and line, also of a log that a program of another format wrote."""
    path = pathlib.Path(directory) / "log.jsonl"
    records: dict[Any, Mapping[str, Any]] = {}
    for number, line in enumerate(_open(path, "a result directory of `lockstep train`").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as e:
            raise ConfigError(f"{path}:{number}:{e.colno}: {e.msg}; expected one JSON object per line") from None
        if not isinstance(record, dict) or "event" not in record:
            raise ConfigError(f"{path}:{number}: no \"event\"; expected a log of `lockstep train` {_version()}")
        if record["event"] == "start" and record.get("format") != LOG_FORMAT:
            raise ConfigError(f"{path}:{number}: format {record.get('format', 'unknown')}; expected {LOG_FORMAT}, as `lockstep train` {_version()} writes it")
        again = record["event"] in ("steps", "evaluation") and "step" in record
        records[(record["event"], record["step"]) if again else number] = record
    if not records:
        raise ConfigError(f"{path}: nothing in it yet")
    return pd.DataFrame(list(records.values()))


def _version() -> str:
    from ._core import version
    return version()


def trace_frame(trace: Any) -> pd.DataFrame:
    """Events of a trace: rank, lane, step, name, begin_ms, end_ms, bytes (0: none), in order of begin."""
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    lanes = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("ph") == "M" and e.get("name") == "thread_name"}
    rows = [{"rank": e["pid"], "lane": lanes[(e["pid"], e["tid"])], "step": e["args"].get("step"), "name": e["name"], "begin_ms": e["ts"] / 1e3,
             "end_ms": (e["ts"] + e["dur"]) / 1e3, "bytes": e["args"].get("bytes", 0)} for e in events if e.get("ph") == "X"]
    columns = ["rank", "lane", "step", "name", "begin_ms", "end_ms", "bytes"]
    return pd.DataFrame(rows, columns=columns).sort_values(["begin_ms", "rank"], kind="stable", ignore_index=True)


def read_trace(path: str | os.PathLike) -> pd.DataFrame:
    """A trace.json of `lockstep simulate`, `train` or `compare`; see trace_frame()."""
    path = pathlib.Path(path)
    try:
        return trace_frame(json.loads(_open(path, "a trace of lockstep")))
    except json.JSONDecodeError as e:
        raise ConfigError(f"{path}:{e.lineno}:{e.colno}: {e.msg}; expected a trace of lockstep") from None
    except (KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path}: no trace of lockstep; expected the events of a Chrome trace") from None
