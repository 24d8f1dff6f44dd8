"""Lockstep from Python: load a run, change it, predict it, sweep it, read what real runs wrote.

    import lockstep as ls

    run = ls.load("experiments/fujitsu_abci_2048/run.toml")
    half = run.with_values({"cluster.gpus": 1024, "training.global_batch": 40960})
    print(ls.simulate(half).images_per_s)
    table = ls.sweep(run, over={"cluster.gpus": [256, 512, 1024, 2048]}, per_gpu_batch=40)     # a pandas DataFrame
    ls.collective("dgx1-v100", gpus=8, sizes="1MiB:64MiB")                                     # and so are these
    ls.check("my-cluster.toml"); ls.links("abci"); ls.choices("models"); ls.validate("dgx1"); ls.plan(run).buckets
    ls.read_log("results/fashion_mnist"); ls.read_trace("results/fashion_mnist/trace.json")
    print(ls.accuracy(batch=[32768, 81920]).predictions)          # epochs and top-1 against batch size, with bands

A function that takes a run takes the path of a run file too. A wrong value raises ConfigError with the message that the program prints. Work releases the interpreter's lock; Ctrl-C
stops it after the simulation that is under way.
"""

from ._core import BackendError, ConfigError, InternalError
from . import figures
from .accuracy_curves import Accuracy, accuracy
from .files import read_log, read_sweep, read_trace, read_trials
from .prediction import Band, Prediction, simulate
from .queries import Plan, check, choices, collective, links, plan, validate
from .real import Training, calibrate, program, train
from .run import Run, data_directory, load
from .sweeps import sweep
from ._core import version as _version

__version__ = _version()
__all__ = [
    "Accuracy", "BackendError", "Band", "ConfigError", "InternalError", "Plan", "Prediction", "Run", "Training", "accuracy", "calibrate", "check",
    "choices", "collective", "data_directory", "figures", "links", "load", "plan", "program", "read_log", "read_sweep", "read_trace", "read_trials", "simulate",
    "sweep", "train", "validate",
]
