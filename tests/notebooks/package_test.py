#!/usr/bin/env python3
"""The Python package `lockstep` against the program.

    package_test.py PROGRAM SOURCE_DIR        with PYTHONPATH=BUILD/python
Exit code 77 (skipped) where pandas or matplotlib are missing.
"""
import contextlib
import doctest
import importlib
import json
import os
import pathlib
import shutil
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
        self.assertEqual(run["buckets.size"], "4MiB")
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

    def test_a_path_is_as_good_as_a_run(self):
        run = ls.load(DGX)
        for file in (DGX, str(DGX)):
            self.assertEqual(ls.simulate(file).event_digest, ls.simulate(run).event_digest)
            self.assertEqual(ls.plan(file).digest, ls.plan(run).digest)
            self.assertEqual(list(ls.sweep(file, over={"cluster.gpus": [8]})["event_digest"]), [ls.simulate(run).event_digest])
        for ask in (ls.simulate, ls.plan, lambda run: ls.sweep(run, over={"cluster.gpus": [4]}), lambda run: ls.train(run, "out"), lambda run: ls.calibrate(run, "out")):
            with self.assertRaisesRegex(ls.ConfigError, "nope.toml: no such file"):
                ask("nope.toml")
            with self.assertRaisesRegex(TypeError, r"^7 is no run; expected the path of a run file or what lockstep\.load returns$"):
                ask(7)


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
        run = ls.load(SOURCE / "experiments/fujitsu_abci_2048/run.toml", {"simulation.fold": "approx"})  # tens of milliseconds
        for interval in (False, True):
            with self.subTest(interval=interval):
                ticks = []
                stop = threading.Event()

                def tick():
                    while not stop.wait(0.001):
                        ticks.append(time.monotonic())

                thread = threading.Thread(target=tick)
                thread.start()
                begin = time.monotonic()
                ls.simulate(run, interval=interval)
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

    def test_a_single_value(self):
        run = ls.load(DGX)
        for values in (4, pd.Series([4]).iloc[0], [4], "4"):
            table = ls.sweep(run, over={"cluster.gpus": values, "allreduce.algorithm": "ring"}, per_gpu_batch=64)
            self.assertEqual((list(table["gpus"]), list(table["global_batch"])), ([4], [256]))
        with self.assertRaisesRegex(ls.ConfigError, "slow_ranks"):  # a dict is one value, of the wrong kind here
            ls.sweep(run, over={"simulation.slow_ranks": {"rank": 3, "factor": 1.25}})

    def test_a_point_that_fails_is_a_row(self):
        table = ls.sweep(ls.load(DGX), over={"cluster.gpus": [4, 5]})
        self.assertTrue(pd.isna(table["error"].iloc[0]))
        self.assertIn("global_batch", table["error"].iloc[1])

    def test_an_unknown_key(self):
        with self.assertRaises(ls.ConfigError):
            ls.sweep(ls.load(DGX), over={"cluster.gpuz": [4, 8]})


class Queries(unittest.TestCase):
    def test_a_collective_as_the_program_prints_it(self):
        got = ls.collective("dgx1-v100", gpus=8, sizes=[8, "1MiB", 2**22], library="nccl-2.4", stagger="5us")
        code, out, _ = program("collective", "dgx1-v100", "--gpus", 8, "--sizes", "8,1MiB,4MiB", "--library", "nccl-2.4", "--stagger", "5us", "--json")
        self.assertEqual(code, 0)
        self.assertEqual(got.to_dict("records"), json.loads(out))
        by_library = ls.collective("dgx1-v100", gpus=8, sizes="1MiB:1MiB", algorithm="library")
        self.assertIn("protocol", by_library["estimates"][0][0])

    def test_one_size(self):
        for sizes in (8, "8", [8], range(8, 9)):
            self.assertEqual(list(ls.collective("template", gpus=16, sizes=sizes)["bytes"]), [8])

    def test_what_the_library_may_choose_among(self):
        def chosen(**restricted):
            return set(ls.collective("abci", gpus=64, sizes="1KiB:64MiB", algorithm="library", **restricted)["algorithm"])

        self.assertEqual(chosen(), {"ring", "tree"})
        self.assertEqual(chosen(among=["ring"]), {"ring"})
        self.assertEqual(chosen(among="ring"), {"ring"})
        with self.assertRaisesRegex(ls.ConfigError, '"rign"'):
            chosen(among=["ring", "rign"])

    def test_bus_bandwidth_follows_from_the_time(self):
        # 2 (n - 1) / n bytes / time, with 8 GPUs: 1.75 bytes / time; bytes per microsecond are MB/s.
        row = ls.collective("dgx1-v100", gpus=8, sizes="64MiB:64MiB", algorithm="ring").iloc[0]
        self.assertAlmostEqual(row["busbw_GBps"], 1.75 * row["bytes"] / row["time_us"] / 1e3, places=6)

    def test_wrong_questions_are_answered_as_by_the_program(self):
        for ask, words in [
            (lambda: ls.collective("dgx1-v100", sizes="8:x"), ("collective", "dgx1-v100", "--sizes", "8:x")),
            (lambda: ls.collective("dgx1-v100", gpus=100000), ("collective", "dgx1-v100", "--gpus", 100000)),
            (lambda: ls.collective("dgx1-v100", element_bytes=3), ("collective", "dgx1-v100", "--element-bytes", 3)),
            (lambda: ls.collective("dgx1-v100", algorithm="rign"), ("collective", "dgx1-v100", "--algorithm", "rign")),
            (lambda: ls.collective("dgx1-v1000"), ("collective", "dgx1-v1000")),
            (lambda: ls.check("abcj"), ("check", "abcj")),
            (lambda: ls.check("abci", kind="clutser"), ("check", "abci", "--kind", "clutser")),
            (lambda: ls.links("abcj"), ("check", "abcj", "--links")),
            (lambda: ls.choices("modles"), ("list", "modles")),
            (lambda: ls.validate("dgx9"), ("validate", "--only", "dgx9")),
        ]:
            with self.subTest(words):
                code, _, err = program(*words)
                self.assertEqual(code, 2)
                with self.assertRaises(ls.ConfigError) as raised:
                    ask()
                self.assertEqual(str(raised.exception).strip(), err.strip())

    def test_plans(self):
        got = ls.plan(ls.load(DGX, SMALL))
        code, out, _ = program("plan", DGX, "--json", "--set", "cluster.gpus=4", "--set", "training.global_batch=256", "--set", "output.curve=[]")
        expected = json.loads(out)
        self.assertEqual((code, got.digest), (0, expected["digest"]))
        self.assertEqual(list(got.buckets["bytes"]), [row["bytes"] for row in expected["buckets"]])
        self.assertEqual(dict(got.candidates_us.iloc[0]), expected["buckets"][0]["candidates_us"])

    def test_checks(self):
        self.assertTrue(ls.check("dgx1-v100", kind="cluster").empty)
        self.assertEqual(list(ls.check("nope.toml")["verdict"]), ["fault"])
        found = ls.check("abci", kind="cluster")
        self.assertEqual(list(found["verdict"]), ["accepted"])
        self.assertEqual(found["rule"][0], "taper")
        with tempfile.TemporaryDirectory() as folder:
            wrong = pathlib.Path(folder) / "run.toml"
            wrong.write_text(DGX.read_text().replace("global_batch", "global_bach"))
            found = ls.check(wrong)
        self.assertEqual(list(found["verdict"]), ["fault"])
        self.assertIn("global_batch", found["message"][0])

    def test_links_are_those_of_the_program_and_can_be_cut(self):
        found = ls.links("abci")
        code, out, _ = program("check", "abci", "--links", "--json")
        self.assertEqual((code, found.to_dict("records")), (0, json.loads(out)))
        page = program("check", "abci", "--links")[1]
        for name in found["cable"]:
            self.assertIn(f"  {name} ", page)
        between = found[found["place"] == "switches"]
        self.assertEqual(list(between["cables"]), [128 * 18, 32 * 24])  # leaves x cables up, racks x cables up
        run = ls.load(SOURCE / "experiments/fujitsu_abci_2048/run.toml", {"cluster.gpus": 8, "training.global_batch": 320, "output.curve": [], "output.trace_ranks": [0]})
        nic = found["cable"][found["cable"].str.contains("nic")].iloc[0]
        slow = run.with_values({"simulation.slow_links": [{"link": nic, "factor": 0.1}]})
        self.assertGreater(ls.simulate(slow).step_ms, ls.simulate(run).step_ms)
        self.assertEqual(set(ls.links(SOURCE / "data/clusters/dgx1-v100.toml")["place"]), {"node"})

    def test_choices(self):
        code, out, _ = program("list", "--json")
        expected = json.loads(out)
        got = ls.choices()
        self.assertEqual([(r["kind"], r["name"]) for _, r in got.iterrows()], [(k, e["name"]) for k, entries in expected.items() for e in entries])

    def test_validation(self):
        got = ls.validate("dgx1_fp16", interval=True)
        _, out, _ = program("validate", "--only", "dgx1_fp16", "--interval", "--json")
        self.assertEqual(got.to_dict("records"), json.loads(out))

    def test_what_progress_raises_stops_a_collective(self):
        def stop(_):
            raise LookupError("enough")

        with self.assertRaisesRegex(LookupError, "enough"):
            ls.collective("dgx1-v100", sizes="1KiB:1GiB", algorithm="ring", progress=stop)


class RealRuns(unittest.TestCase):
    TINY = {"model.name": "resnet8_w4", "model.image_size": 8, "data.kind": "synthetic", "data.path": "", "data.training_images": 256, "data.validation_images": 64,
            "training.epochs": 2, "training.global_batch": 32, "training.log_every": 4, "real.threads": 1, "output.trace_ranks": [0]}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = pathlib.Path(folder.name)
        os.environ["LOCKSTEP_PROGRAM"] = PROGRAM
        self.addCleanup(os.environ.pop, "LOCKSTEP_PROGRAM")
        self.run_file = ls.load(SOURCE / "experiments/fashion_mnist/run.toml", self.TINY)

    def train(self, *args, **options):
        try:
            return ls.train(*args, **options)
        except ls.BackendError as e:
            if "oneDNN" in str(e):
                self.skipTest(str(e))
            raise

    def test_what_a_run_wrote_comes_back(self):
        trained = self.train(self.run_file, self.here / "out")
        self.assertEqual(trained.json["steps"], 2 * 256 // 32)
        steps = trained.log[trained.log["event"] == "steps"]
        self.assertEqual(list(steps["step"]), [4, 8, 12, 16])
        self.assertIn("compute", set(trained.timeline["lane"]))
        self.assertTrue(ls.figures.training(trained.log).axes[0].has_data())
        self.assertTrue(ls.figures.timeline(trained.timeline).axes[0].has_data())
        code, _, err = program("train", SOURCE / "experiments/fashion_mnist/run.toml", "--output", self.here / "out")
        self.assertEqual(code, 2)
        with self.assertRaises(ls.ConfigError) as raised:
            ls.train(self.run_file, self.here / "out")
        self.assertEqual(str(raised.exception), err.strip())
        ls.train(self.run_file.with_values({"training.epochs": 1}), self.here / "out", force=True)
        self.assertEqual(trained.json["steps"], 256 // 32)

    def test_this_machine_as_values_of_a_run(self):
        self.train(self.run_file, self.here / "probe")
        here = self.run_file.with_values(ls.calibrate(self.run_file, self.here / "calibrated", steps=2))
        self.assertGreater(ls.simulate(here).step_ms, 0)

    def test_ctrl_c_ends_the_run_with_a_checkpoint(self):
        self.train(self.run_file, self.here / "probe")
        code = (f"import lockstep as ls\nrun = ls.load({str(self.run_file.file)!r}, {{**{self.TINY!r}, 'training.epochs': 100000, 'data.training_images': 32}})\n"
                f"ls.train(run, {str(self.here / 'out')!r})\n")
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        log = self.here / "out" / "log.jsonl"
        while not log.exists() or '"event":"steps"' not in log.read_text():
            self.assertIsNone(child.poll(), "the run ended by itself")
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
        self.assertIn("KeyboardInterrupt", err)
        self.assertEqual(ls.read_log(self.here / "out")["event"].iloc[-1], "end")
        self.assertTrue(list((self.here / "out" / "checkpoints").iterdir()))

    def processes_of(self, directory):
        """Ids of all processes on whose command line `directory` stands."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(directory).encode() in entry.read_bytes():
                    found.append(int(entry.parent.name))
            except OSError:  # it has ended meanwhile
                pass
        return found

    def wait_until(self, true, what, seconds=120):
        end = time.monotonic() + seconds
        while not true():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.05)

    @unittest.skipUnless(pathlib.Path("/proc/self/cmdline").exists(), "processes are looked up in /proc")
    def test_a_killed_python_process_leaves_no_run_behind_but_a_checkpoint(self):
        trained = self.train(self.run_file, self.here / "probe")
        launchers = [()]
        two = ("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2")
        if shutil.which("mpirun"):
            trained = ls.train(self.run_file, self.here / "probe2", launcher=two, force=True)
            launchers += [two] if trained.json["ranks"] == 2 else []
        for launcher in launchers:
            with self.subTest(ranks=2 if launcher else 1):
                out = self.here / f"killed{len(launcher)}"
                values = {**self.TINY, "training.epochs": 100000, "data.training_images": 32, "schedule.warmup": "none"}
                if launcher:  # mpirun gives its ranks a second between SIGTERM and SIGKILL: a checkpoint may not be finished, an earlier one is there
                    values["training.checkpoint_every"] = 20
                code = f"import lockstep as ls\nls.train(ls.load({str(self.run_file.file)!r}, {values!r}), {str(out)!r}, launcher={launcher!r})\n"
                parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

                def leave_nothing():
                    for pid in self.processes_of(out):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

                self.addCleanup(leave_nothing)
                log = out / "log.jsonl"
                awaited = '"event":"checkpoint"' if launcher else '"event":"steps"'
                self.wait_until(lambda: log.exists() and awaited in log.read_text() or parent.poll() is not None, "no step was logged")
                self.assertIsNone(parent.poll(), "the run ended by itself")
                self.assertGreaterEqual(len(self.processes_of(out)), 3)  # this process' child, what watches over the program, the program
                parent.kill()
                parent.wait()
                self.wait_until(lambda: not self.processes_of(out), "the program runs on without its parent")
                found = ls.read_log(out)
                if not launcher:
                    self.assertEqual(found["event"].iloc[-1], "end")
                self.assertTrue(list((out / "checkpoints").iterdir()))
                last = int(found["step"].max())
                sets = [word for text in ls.load(self.run_file.file, values).sets for word in ("--set", text)]
                again = subprocess.Popen([*launcher, PROGRAM, "--quiet", "train", str(self.run_file.file), *sets, "--output", str(out), "--resume"],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                self.wait_until(lambda: ls.read_log(out)["step"].max() > last or again.poll() is not None, "the resumed run took no step")
                again.send_signal(signal.SIGTERM)
                _, err = again.communicate(timeout=120)
                self.assertGreater(ls.read_log(out)["step"].max(), last, err)

    def test_a_program_that_is_not_there(self):
        os.environ["LOCKSTEP_PROGRAM"] = str(self.here / "nope")
        with self.assertRaisesRegex(ls.ConfigError, "nope: no such program"):
            ls.train(self.run_file, self.here / "out")
        (self.here / "nope").write_text("no program")
        (self.here / "nope").chmod(0o755)
        with self.assertRaisesRegex(ls.ConfigError, "nope: Exec format error"):
            ls.train(self.run_file, self.here / "out")
        with self.assertRaisesRegex(ls.ConfigError, "no-such-launcher: no such program"):
            ls.train(self.run_file, self.here / "out", launcher=["no-such-launcher", "-n", "2"])


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
        (self.here / "log.jsonl").write_text('{"event": "start", "format": 1}\n{"event": "steps", "step": 5, "loss": 2.0}\n'
                                             '{"event": "steps", "step": 5, "loss": 1.5}\n')
        log = ls.read_log(self.here)
        self.assertEqual(list(log[log["event"] == "steps"]["loss"]), [1.5])

    def test_wrong_files(self):
        for name, text, read, expected in [
            ("log.jsonl", '{"event": "start", "format": 1}\n{"event": ', lambda d: ls.read_log(d), r"log\.jsonl:2:\d+"),
            ("log.jsonl", '{"epoch": 1}\n', lambda d: ls.read_log(d), r'log\.jsonl:1: no "event"'),
            ("log.jsonl", '{"event": "start", "format": 2}\n', lambda d: ls.read_log(d), r"log\.jsonl:1: format 2; expected 1"),
            ("log.jsonl", '{"event": "start"}\n', lambda d: ls.read_log(d), r"log\.jsonl:1: format unknown; expected 1"),
            ("results.csv", "index,step_ms\n0,1\n", lambda d: ls.read_sweep(d), r"results\.csv:1:1: images_per_s: no such column; expected one of this name, found index, step_ms\n.*results\.csv:1:1: error: "),
            ("results.csv", "index,step_ms,images_per_s,error\n0,1\n", lambda d: ls.read_sweep(d), r"results\.csv:2:3: 2 cells; the header has 4"),
            ("results.csv", "index,steps_ms,images_per_s,error\n0,1,2,\n", lambda d: ls.read_sweep(d),
             r'results\.csv:1:7: step_ms: no such column; expected one of this name, found "steps_ms"'),
            ("results.csv", "", lambda d: ls.read_sweep(d), r"results\.csv:1:1: no header line"),
            ("trials.csv", "# mine\nseries,stage\n", lambda d: ls.read_trials(d), r"trials\.csv:2:1: optimizer: no such column"),
            ("trace.json", "{", lambda d: ls.read_trace(d / "trace.json"), r"trace\.json:1:\d+"),
            ("trace.json", "[1]", lambda d: ls.read_trace(d / "trace.json"), r"trace\.json: no trace"),
        ]:
            with self.subTest(expected):
                (self.here / name).write_text(text)
                with self.assertRaisesRegex(ls.ConfigError, expected):
                    read(self.here)
        (self.here / "results.csv").write_bytes(b"index,\xff\n")
        with self.assertRaisesRegex(ls.ConfigError, r"results\.csv: byte 6 is no UTF-8"):
            ls.read_sweep(self.here)
        for read in (ls.read_log, ls.read_sweep, ls.read_trials):
            with self.assertRaisesRegex(ls.ConfigError, "no such file"):
                read(self.here / "nope")

    def test_trials(self):
        (self.here / "trials.csv").write_text(
            "index,series,stage,optimizer,batch,rate,epochs,tuning_trials,seed,steps,top1_percent,diverged,digest,error\n"
            '0,"LARS, retuned",final,lars,2048,8,5,8,1,145,83.25,no,12345678,\n'
            "1,SGD,final,nesterov,2048,0.8,5,8,1,145,,yes,0123456789,\n")
        found = ls.read_trials(self.here)
        self.assertEqual(list(found["series"]), ["LARS, retuned", "SGD"])
        self.assertEqual((found["batch"].dtype.kind, found["top1_percent"][0], found["digest"][1]), ("i", 83.25, "0123456789"))
        self.assertTrue(found["error"].isna().all() and pd.isna(found["top1_percent"][1]))
        axes = ls.figures.measured_accuracy(found).axes[0]
        self.assertEqual([t.get_text() for t in axes.get_legend().get_texts()], ["LARS, retuned: rate from 8 trials, 1 seeds", "SGD: rate from 8 trials, 1 seeds"])
        with self.assertRaisesRegex(ValueError, "no finished trial with a fresh seed"):
            ls.figures.measured_accuracy(found[found["stage"] == "tune"])


class Figures(unittest.TestCase):
    def test_each_has_labels(self):
        run = ls.load(DGX, SMALL)
        got = ls.simulate(run, trace=True)
        table = ls.sweep(run, over={"cluster.gpus": [1, 2, 4]}, per_gpu_batch=64)
        for figure in (ls.figures.step_parts({"4 GPUs": got}), ls.figures.scaling(table), ls.figures.timeline(got),
                       ls.figures.lines(table, x="gpus", value="images_per_s", log=True), ls.figures.heat_map(table, x="gpus", y="global_batch"),
                       ls.figures.bus_bandwidth({"8 GPUs": ls.collective("dgx1-v100", gpus=8, sizes="1KiB:16MiB")})):
            axes = figure.axes[0]
            self.assertTrue(axes.get_ylabel() or axes.get_xlabel())
            self.assertTrue(axes.has_data())
        with self.assertRaisesRegex(ValueError, "not traced"):
            ls.figures.timeline(got, rank=3)

    def test_lines_and_maps_show_the_rows(self):
        table = pd.DataFrame({"a": ["x", "y", "x", "y", "x"], "b": [1, 1, 2, 2, 3], "step_ms": [10.0, 20.0, 30.0, None, None]})
        one, two = ls.figures.lines(table, x="a", by="b", names={1: "one"}).axes[0].get_lines()
        self.assertEqual((list(one.get_ydata()), one.get_label()), ([10, 20], "one"))
        self.assertEqual((list(two.get_xdata()), list(two.get_ydata()), two.get_label()), ([0], [30], "2"))
        axes = ls.figures.heat_map(table, x="a", y="b").axes[0]
        self.assertEqual([t.get_text() for t in axes.texts], ["10", "20", "30", "-", "-", "-"])
        with self.assertRaisesRegex(ValueError, "no column nope"):
            ls.figures.lines(table, x="nope")
        with self.assertRaisesRegex(ValueError, "no row"):
            ls.figures.heat_map(table[table["step_ms"].isna()], x="a", y="b")
        many = pd.DataFrame({"a": [1] * 7, "b": range(7), "step_ms": [1.0] * 7})
        with self.assertRaisesRegex(ValueError, "7 lines"):
            ls.figures.lines(many, x="a", by="b")


class Documentation(unittest.TestCase):
    def test_examples_are_true(self):
        before = os.getcwd()
        os.chdir(SOURCE)
        self.addCleanup(os.chdir, before)
        for name in ("prediction", "queries", "run", "sweeps"):
            with self.subTest(name):
                found = doctest.testmod(importlib.import_module(f"lockstep.{name}"))
                self.assertGreater(found.attempted, 0)
                self.assertEqual(found.failed, 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
