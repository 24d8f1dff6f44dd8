#!/usr/bin/env python3
"""The Python package `lockstep` against the program.

    package_test.py PROGRAM SOURCE_DIR        with PYTHONPATH=BUILD/python
Exit code 77 (skipped) where pandas or matplotlib are missing.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
os.environ["LOCKSTEP_DATA"] = str(SOURCE / "data")
try:
    import matplotlib

    matplotlib.use("Agg")
    import pandas as pd
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)
import lockstep as ls  # noqa: E402

DGX = SOURCE / "experiments" / "dgx_ladders" / "run.toml"
SMALL = {"cluster.gpus": 4, "training.global_batch": 256, "output.curve": []}


def program(*words):
    done = subprocess.run([PROGRAM, "--quiet", *map(str, words)], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


class Runs(unittest.TestCase):
    def test_a_run_is_immutable_and_knows_its_values(self):
        run = ls.load(DGX)
        four = run.with_values(SMALL)
        self.assertEqual((four["cluster.gpus"], four["training.global_batch"]), (4, 256))
        self.assertEqual(run["cluster.gpus"], 8)
        with self.assertRaises(KeyError):
            run["cluster.gpuz"]

    def test_values_of_every_kind(self):
        run = ls.load(DGX, {"simulation.slow_ranks": [{"rank": 3, "factor": 1.25}], "allreduce.overlap": False,
                            "buckets.size": "4MiB", "schedule.step_epochs": [30, 60], "allreduce.algorithm": "ring"})
        self.assertEqual(run["simulation.slow_ranks"], [{"rank": 3, "factor": 1.25}])
        self.assertIs(run["allreduce.overlap"], False)
        self.assertEqual(run["buckets.size"], "4194304B")
        self.assertEqual(ls.load(DGX, {"cluster.gpus": pd.Series([4]).iloc[0]})["cluster.gpus"], 4)
        with self.assertRaises(TypeError):
            ls.load(DGX, {"cluster.gpus": object()})

    def test_errors_are_those_of_the_program(self):
        with self.assertRaises(ls.ConfigError) as raised:
            ls.load(DGX, {"cluster.gpuss": 8, "training.epochs": -1})
        code, _, err = program("simulate", DGX, "--set", "cluster.gpuss=8", "--set", "training.epochs=-1")
        self.assertEqual(code, 2)
        self.assertEqual(str(raised.exception).strip(), err.strip())
        self.assertIsInstance(raised.exception, ValueError)
        with self.assertRaisesRegex(ls.ConfigError, "nope.toml: no such file"):
            ls.load("nope.toml")


class Predictions(unittest.TestCase):
    def test_the_same_as_the_program(self):
        got = ls.simulate(ls.load(DGX, SMALL))
        code, out, _ = program("simulate", DGX, "--no-interval", "--no-curve", "--json", *(
            word for path, value in SMALL.items() for word in ("--set", f"{path}={value}")))
        self.assertEqual(code, 0)
        expected = json.loads(out)
        self.assertEqual({**got.json, "run_file": ""}, {**expected, "run_file": ""})
        self.assertAlmostEqual(sum(got.parts_ms.values()), got.step_ms, places=6)
        self.assertEqual(len(got.buckets), len(expected["buckets"]))

    def test_interval_ladder_curve_and_timeline(self):
        got = ls.simulate(ls.load(DGX, {**SMALL, "output.curve": [1, 2]}), curve=True, interval=True, explain=True, trace=True)
        self.assertLessEqual(got.step_band_ms.low, got.step_ms)
        self.assertGreaterEqual(got.step_band_ms.high, got.step_ms)
        self.assertEqual(list(got.scaling["gpus"]), [1, 2])
        self.assertAlmostEqual(got.ladder["step_ms"].iloc[-1], got.step_ms, places=9)
        self.assertFalse(got.sensitivity.empty)
        lanes = set(got.timeline["lane"])
        self.assertTrue({"compute", "communication"} <= lanes, lanes)
        self.assertTrue((got.timeline["end_ms"] >= got.timeline["begin_ms"]).all())

    def test_without_a_trace_there_is_no_timeline(self):
        with self.assertRaisesRegex(ValueError, "trace=True"):
            ls.simulate(ls.load(DGX, SMALL)).timeline

    def test_other_threads_run_meanwhile(self):
        ticks = []
        stop = threading.Event()

        def tick():
            while not stop.wait(0.001):
                ticks.append(time.monotonic())

        thread = threading.Thread(target=tick)
        thread.start()
        begin = time.monotonic()
        ls.simulate(ls.load(DGX, SMALL), interval=True)
        end = time.monotonic()
        stop.set()
        thread.join()
        self.assertTrue([t for t in ticks if begin < t < end], "the interpreter's lock was held all the time")

    def test_what_progress_raises_stops_the_work(self):
        def stop(_):
            raise LookupError("enough")

        run = ls.load(SOURCE / "experiments/fujitsu_abci_2048/run.toml")
        with self.assertRaisesRegex(LookupError, "enough"):
            ls.simulate(run, interval=True, progress=stop)

    def test_ctrl_c(self):
        code = (f"import lockstep as ls\nrun = ls.load({str(SOURCE / 'experiments/fujitsu_abci_2048/run.toml')!r})\n"
                "print('begun', flush=True)\nls.simulate(run, interval=True, curve=True)\nprint('done')\n")
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(child.stdout.readline(), "begun\n")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=120)
        self.assertNotIn("done", out)
        self.assertIn("KeyboardInterrupt", err)


class AccuracyOfBatches(unittest.TestCase):
    def test_the_same_as_the_program(self):
        got = ls.accuracy(series="lars_epochs", batch=[32768, 81920])
        expected = json.loads(program("accuracy", "--series", "lars_epochs", "--batch", "32768,81920", "--json")[1])["series"][0]
        for (_, row), p in zip(got.predictions.iterrows(), expected["predictions"], strict=True):
            self.assertAlmostEqual(row["value"] / p["prediction"]["value"], 1, places=5)  # six digits in tables
            self.assertEqual(row["extrapolated"], p["prediction"]["extrapolated"])
        mean = got.fits[got.fits["form"] == "mean"].iloc[0]
        self.assertAlmostEqual(mean["leave_one_out"], expected["leave_one_out"], places=4)
        self.assertEqual(len(got.left_out), 8)
        self.assertEqual(len(got.points[got.points["fit"] == "lars_epochs"]), 8)
        self.assertTrue((got.curves["low"] <= got.curves["value"]).all())
        self.assertIn("Nado", got.caveat)

    def test_a_single_batch_and_all_series(self):
        got = ls.accuracy(batch=8192)
        self.assertEqual(set(got.predictions["series"]), {"lars_epochs", "lars_tuned", "lars_2017", "sgd_untuned"})

    def test_errors_are_those_of_the_program(self):
        for arguments, words in [({"series": "lars_epoch"}, ["--series", "lars_epoch"]), ({"batch": 1e7}, ["--batch", "1e7"])]:
            with self.subTest(str(words)), self.assertRaises(ls.ConfigError) as raised:
                ls.accuracy(**arguments)
            code, _, err = program("accuracy", *words)
            self.assertEqual((code, err.strip()), (2, str(raised.exception).strip()))

    def test_a_prediction_has_its_time_to_target(self):
        got = ls.simulate(ls.load(SOURCE / "experiments/fujitsu_abci_2048/run.toml"))
        self.assertLess(got.time_to_target_s.low, got.time_to_target_s.value)
        self.assertIsNone(ls.simulate(ls.load(DGX, {**SMALL, "model.name": "resnet101"})).time_to_target_s)


class Sweeps(unittest.TestCase):
    def test_rows_equal_single_predictions(self):
        run = ls.load(DGX, SMALL)
        table = ls.sweep(run.with_values({}), over={"allreduce.algorithm": ["ring", "tree"]})
        for _, row in table.iterrows():
            alone = ls.simulate(run.with_values({"allreduce.algorithm": row["allreduce.algorithm"]}))
            self.assertEqual(row["event_digest"], alone.event_digest)
            self.assertAlmostEqual(row["step_ms"], alone.step_ms, places=4)

    def test_weak_scaling_by_a_range(self):
        table = ls.sweep(ls.load(DGX), over={"cluster.gpus": "1..4"}, per_gpu_batch=64, efficiency=True, jobs=2)
        self.assertEqual(list(table["gpus"]), [1, 2, 4])
        self.assertEqual(list(table["global_batch"]), [64, 128, 256])
        self.assertAlmostEqual(table["efficiency"].iloc[0], 1.0, places=3)

    def test_a_point_that_fails_is_a_row(self):
        table = ls.sweep(ls.load(DGX), over={"cluster.gpus": [4, 5]})
        self.assertTrue(pd.isna(table["error"].iloc[0]))
        self.assertIn("global_batch", table["error"].iloc[1])

    def test_an_unknown_key(self):
        with self.assertRaises(ls.ConfigError):
            ls.sweep(ls.load(DGX), over={"cluster.gpuz": [4, 8]})


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = pathlib.Path(folder.name)

    def test_what_the_program_wrote(self):
        self.assertEqual(program("simulate", DGX, "--no-interval", "--no-curve", "--output", self.here / "out")[0], 0)
        frame = ls.read_trace(self.here / "out" / "trace.json")
        self.assertIn("compute", set(frame["lane"]))
        self.assertEqual(program("sweep", DGX, "--over", "cluster.gpus=1,2", "--output", self.here / "s")[0], 0)
        self.assertEqual(list(ls.read_sweep(self.here / "s")["gpus"]), [1, 2])

    def test_logs(self):
        (self.here / "log.jsonl").write_text('{"event": "start"}\n{"event": "steps", "step": 5, "loss": 2.0}\n'
                                             '{"event": "steps", "step": 5, "loss": 1.5}\n')
        log = ls.read_log(self.here)
        self.assertEqual(list(log[log["event"] == "steps"]["loss"]), [1.5])

    def test_wrong_files(self):
        for name, text, read, expected in [
            ("log.jsonl", '{"event": "start"}\n{"event": ', lambda d: ls.read_log(d), r"log\.jsonl:2:\d+"),
            ("log.jsonl", '{"epoch": 1}\n', lambda d: ls.read_log(d), r'log\.jsonl:1: no "event"'),
            ("results.csv", "index,step_ms\n0,1\n", lambda d: ls.read_sweep(d), r"results\.csv:1: no column images_per_s, error"),
            ("results.csv", "index,step_ms,images_per_s,error\n0,1\n", lambda d: ls.read_sweep(d), r"results\.csv:2: 2 cells"),
            ("trace.json", "{", lambda d: ls.read_trace(d / "trace.json"), r"trace\.json:1:\d+"),
            ("trace.json", "[1]", lambda d: ls.read_trace(d / "trace.json"), r"trace\.json: no trace"),
        ]:
            with self.subTest(expected):
                (self.here / name).write_text(text)
                with self.assertRaisesRegex(ls.ConfigError, expected):
                    read(self.here)
        with self.assertRaisesRegex(ls.ConfigError, "no such file"):
            ls.read_log(self.here / "nope")


class Figures(unittest.TestCase):
    def test_each_has_labels(self):
        run = ls.load(DGX, SMALL)
        got = ls.simulate(run, trace=True)
        table = ls.sweep(run, over={"cluster.gpus": [1, 2, 4]}, per_gpu_batch=64)
        for figure in (ls.figures.step_parts({"4 GPUs": got}), ls.figures.scaling(table), ls.figures.timeline(got)):
            axes = figure.axes[0]
            self.assertTrue(axes.get_ylabel() or axes.get_xlabel())
            self.assertTrue(axes.has_data())
        with self.assertRaisesRegex(ValueError, "not traced"):
            ls.figures.timeline(got, rank=3)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
