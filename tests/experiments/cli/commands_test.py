#!/usr/bin/env python3
"""The program from the outside: what a user types, what comes back, and the exit code.

    commands_test.py PROGRAM SOURCE_DIR
Exit codes of the program: 0 done, 1 a check failed, 2 the input is wrong, 130 interrupted.
"""
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
RUN = SOURCE / "experiments" / "dgx_ladders" / "run.toml"
COMMANDS = ["simulate", "sweep", "plan", "collective", "validate", "list", "train", "calibrate", "compare", "check", "accuracy"]


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.here = pathlib.Path(self.folder.name)

    def call(self, *words, code=0, data=True):
        environment = dict(os.environ)
        environment.pop("LOCKSTEP_DATA", None)
        if data:
            environment["LOCKSTEP_DATA"] = str(SOURCE / "data")
        done = subprocess.run([PROGRAM, *map(str, words)], cwd=self.here, env=environment, capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        if code == 2 and words[:1] != ("check",):  # findings are what check prints
            self.assertEqual(done.stdout, "", "a fault of the input is told on stderr")
        return done

    def write(self, name, text):
        (self.here / name).write_text(text)
        return name


class Help(CommandTest):
    def test_every_command_has_examples(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.call(command, "--help").stdout
                self.assertIn("Examples:", text)
                self.assertIn(f"lockstep {command}", text)

    def test_without_a_command(self):
        self.assertIn("--help", self.call(code=2).stderr)
        self.assertIn("--help", self.call("frobnicate", code=2).stderr)


class WrongInput(CommandTest):
    def test_all_faults_of_a_file_at_once(self):
        self.write("bad.toml", "[training]\nglobal_bach = 3\nepochs = -1\n")
        text = self.call("simulate", "bad.toml", code=2).stderr
        self.assertIn('bad.toml:2:1: training.global_bach: unknown key; did you mean "global_batch"?', text)
        self.assertIn("bad.toml:3:1: training.epochs", text)

    def test_an_option_that_does_not_exist_is_named(self):
        for words in [["simulate", RUN], ["sweep", RUN, "--over", "cluster.gpus=4,8"], ["collective", "dgx1-v100"], ["validate"]]:
            with self.subTest(words[0]):
                self.assertIn("--busbw", self.call(*words, "--busbw", code=2).stderr)

    def test_table(self):
        for words, expected in [
            (["simulate", "nope.toml"], "nope.toml: no such file"),
            (["simulate", RUN, "--set", "cluster.gpus=x"], "--set cluster.gpus=x: cluster.gpus: expected a whole number"),
            (["simulate", RUN, "--set", "buckets.polici=one"], 'did you mean "policy"?'),
            (["collective", "dgx1-v100", "--gpus", "99", "--sizes", "8:1KiB"], "--gpus: 99: expected 1 to"),
            (["collective", "dgx1-v100", "--sizes", "8:1K"], "--sizes: \"1K\" is not a size"),
            (["collective", "dgx1-v100", "--sizes", "28.9MiB"], "--sizes: \"28.9MiB\" is not a whole number of bytes; write \"30303846B\""),
            (["collective", "dgx1-v100", "--sizes", "99999999999999999999"], "that fits (the largest is 8 EiB)"),
            (["collective", "dgx1-v100", "--gpus", "0"], "--gpus: Value 0 not in range"),
            (["collective", "dgx-a100", "--algorithm", "library", "--among", "ring", "--protocol", "LL"], "--protocol: library nccl-2.8 has no protocol"),
            (["collective", "dgx-a100", "--algorithm", "library", "--among", "nvls"], "--among: nothing is left to choose: nvls: "),
            (["sweep", RUN, "--over", "cluster.gpus=1:x:2", "--output", "s"], "cluster.gpus"),
            (["sweep", RUN, "--over", "cluster.gpus", "--output", "s"], "--over"),
            (["plan", RUN, "--set", "buckets.size=25"], "buckets.size"),
        ]:
            with self.subTest(str(words)):
                self.assertIn(expected, self.call(*words, code=2).stderr)
                self.assertFalse((self.here / "s").exists(), "wrong input leaves nothing behind")

    def test_a_file_cut_short(self):
        text = RUN.read_text()
        self.write("cut.toml", text[: text.index("]") - 2])
        self.assertRegex(self.call("simulate", "cut.toml", code=2).stderr, r"cut\.toml:\d+:\d+:")


class Simulate(CommandTest):
    def test_json_and_result_directory(self):
        words = ["simulate", RUN, "--no-interval", "--no-curve", "--quiet"]
        page = json.loads(self.call(*words, "--json").stdout)
        self.assertTrue(page)
        self.call(*words, "--output", "out")
        files = {p.name for p in (self.here / "out").iterdir()}
        self.assertTrue({"run.toml", "result.json"} <= files, files)
        # The effective run file gives the result again.
        again = self.call("simulate", "out/run.toml", "--no-interval", "--no-curve", "--quiet", "--json", "--set",
                          "output.directory=")
        first, second = (json.loads((self.here / "out/result.json").read_text()), json.loads(again.stdout))
        self.assertEqual([first[k] for k in ("step_ms", "event_digest")], [second[k] for k in ("step_ms", "event_digest")])

    def test_a_filled_directory_is_kept(self):
        (self.here / "out").mkdir()
        self.write("out/mine.txt", "precious")
        text = self.call("simulate", RUN, "--no-interval", "--no-curve", "--quiet", "--output", "out", code=2).stderr
        self.assertIn("--force", text)
        self.assertEqual((self.here / "out/mine.txt").read_text(), "precious")


class Accuracy(CommandTest):
    FUJITSU = SOURCE / "experiments" / "fujitsu_abci_2048" / "run.toml"

    def test_page_and_json_say_the_same(self):
        words = ["accuracy", "--series", "lars_epochs,sgd_untuned", "--batch", "32768,131072", "--quiet"]
        page, found = self.call(*words).stdout, json.loads(self.call(*words, "--json").stdout)
        self.assertEqual([s["name"] for s in found["series"]], ["lars_epochs", "sgd_untuned"])
        self.assertIn("Nado", found["caveat"])
        self.assertIn("Nado", page)
        for series in found["series"]:
            self.assertIn(series["recipe"], page)
            self.assertAlmostEqual(sum(f["weight"] for f in series["fits"]), 1, places=9)
            self.assertEqual([p["prediction"]["extrapolated"] for p in series["predictions"]], [False, True])
            for p in series["predictions"]:
                value = p["prediction"]
                self.assertTrue(value["low"] < value["value"] < value["high"], p)
                self.assertIn(f"{value['value']:.1f}" if series["quantity"] == "epochs" else f"{value['value']:.2f}", page)

    def test_tables(self):
        self.call("accuracy", "--csv", "out", "--quiet")
        rows = {}
        for name in ("points", "learning_curves", "fits", "left_out", "curves", "predictions"):
            with open(self.here / "out" / f"{name}.csv", newline="") as lines:
                rows[name] = list(csv.DictReader(lines))
        self.assertEqual(len(rows["points"]), 112 + 20)  # facts: 114 less 2 whose batch changes, 14 reference points, 6 systems
        self.assertEqual((len(rows["learning_curves"]), {r["warmup_epochs"] for r in rows["learning_curves"]}), (5 * 23, {"36"}))
        self.assertEqual(sum(r["form"] == "mean" for r in rows["fits"]), 4)
        self.assertEqual(sum(r["series"] == "lars_epochs" for r in rows["left_out"]), 8)
        for r in rows["curves"]:
            self.assertLessEqual(float(r["low"]), float(r["value"]))
            self.assertLessEqual(float(r["value"]), float(r["high"]))
        self.assertIn("--force", self.call("accuracy", "--csv", "out", "--quiet", code=2).stderr)

    def test_simulated_beside_it(self):
        found = json.loads(self.call("accuracy", "--run", self.FUJITSU, "--batch", "81920,131072", "--json", "--quiet").stdout)
        self.assertEqual([row["gpus"] for row in found["simulated"]], [2048, 2048])
        for row in found["simulated"]:
            self.assertGreater(row["time_to_target_s"]["high"], row["time_to_target_s"]["value"])
            self.assertTrue(row["epochs_to_target"]["extrapolated"])

    def test_wrong_input(self):
        for words, expected in [
            (["--series", "lars_epoch"], '--series: "lars_epoch" is not known'),
            (["--series", "lars_epoch"], 'did you mean "lars_epochs"?'),
            (["--batch", "10000000"], "--batch: no fit covers batch 1e+07"),
            (["--batch", "0"], "--batch: 0; expected a whole number of images, 1 to 1e8"),
            (["--batch", "1000.5"], "--batch: 1000.5; expected a whole number of images, 1 to 1e8"),
            (["--series", "sgd_untuned", "--batch", "8192", "--epochs", "60"], "--epochs: no fit covers runs of 60 epochs; they cover: sgd_untuned 85 to 100"),
            (["--run", self.FUJITSU, "--batch", "50000"], "--batch: training.global_batch: 50000 images are not divisible by 2048 GPUs"),
            (["--run", self.FUJITSU, "--set", "model.image_size=64"], "--run: no fit covers this run"),
            (["--set", "training.epochs=60"], "--run"),
            (["--mechanism"], "--mechanism"),
            (["--epochs", "-3"], "--epochs: -3; expected more than 0"),
            (["--run", "nope.toml"], "nope.toml: no such file"),
        ]:
            with self.subTest(str(words)):
                self.assertIn(expected, self.call("accuracy", *words, "--csv", "out", code=2).stderr)
                self.assertFalse((self.here / "out").exists(), "wrong input leaves nothing behind")

    def test_damaged_tables_are_named_with_their_line(self):
        for file, old, new, expected in [
            ("accuracy.csv", ",top1_percent,", ",top1_percnt,", r'accuracy\.csv:4:52: top1_percent: no such column; expected one of this name, found "top1_percnt"'),
            ("accuracy.csv", ",76.51,", ",lots,", r'accuracy\.csv:5:78: top1_percent: expected a number, found "lots"'),
            ("epochs_to_target.csv", "mlperf_rcp,lars", "mlperf_rpc,lars", r'epochs_to_target\.csv:6:1: series: .*is "mlperf_rcp" meant'),
        ]:
            with self.subTest(expected):
                shutil.rmtree(self.here / "data", ignore_errors=True)
                shutil.copytree(SOURCE / "data", self.here / "data")
                path = self.here / "data" / "published" / file
                path.write_text(path.read_text().replace(old, new, 1))
                self.assertRegex(self.call("--data", "data", "accuracy", code=2).stderr, expected)

    def test_simulate_prints_accuracy_with_band_recipe_and_caveat(self):
        words = ["simulate", self.FUJITSU, "--no-interval", "--no-curve", "--quiet"]
        page, found = self.call(*words).stdout, json.loads(self.call(*words, "--json").stdout)
        for text in ("top-1", "time to 75.9 %", found["accuracy_recipe"], "Nado"):
            self.assertIn(text, page)
        self.assertLess(found["to_target"]["seconds"]["low"], found["to_target"]["seconds"]["value"])
        other = json.loads(self.call(*words, "--json", "--set", "data.training_images=50000").stdout)
        self.assertFalse({"top1_percent", "to_target", "accuracy_recipe"} & set(other))


class Sweep(CommandTest):
    def rows(self, folder):
        with open(self.here / folder / "results.csv", newline="") as lines:
            return list(csv.DictReader(lines))

    def test_weak_scaling_resume_and_force(self):
        words = ["sweep", RUN, "--over", "cluster.gpus=1,2,4", "--per-gpu-batch", "64", "--quiet", "--output", "s"]
        self.call(*words)
        rows = self.rows("s")
        self.assertEqual([r["global_batch"] for r in rows], ["64", "128", "256"])
        self.assertIn("--resume", self.call(*words, code=2).stderr)
        self.call(*words, "--resume")
        self.assertEqual(self.rows("s"), rows)
        self.call(*words, "--force")
        self.assertEqual(self.rows("s"), rows)

    def test_a_point_that_fails_does_not_lose_the_others(self):
        # 5 GPUs do not divide 1,536 images.
        done = self.call("sweep", RUN, "--over", "cluster.gpus=1,5,8", "--quiet", "--output", "s", code=1)
        rows = self.rows("s")
        self.assertEqual([r["index"] for r in rows if float(r["step_ms"] or 0) > 0], ["0", "2"])
        self.assertIn("1", done.stdout)

    def test_dry_run_writes_nothing(self):
        done = self.call("sweep", RUN, "--over", "cluster.gpus=1..8", "--dry-run", "--output", "s")
        self.assertIn("4", done.stdout)
        self.assertFalse((self.here / "s").exists())


class Check(CommandTest):
    def test_no_such_file(self):
        self.assertIn("nope.toml: no such file", self.call("check", "nope.toml", code=2).stdout)

    def test_a_cluster_and_its_drawing(self):
        self.call("check", "abci", "--svg", "abci.svg")
        self.assertTrue((self.here / "abci.svg").read_text().lstrip().startswith("<svg"))

    def test_links_as_lines_and_as_json(self):
        page, found = self.call("check", "abci", "--links").stdout, json.loads(self.call("check", "abci", "--links", "--json").stdout)
        self.assertEqual({row["place"] for row in found}, {"node", "switches"})
        for row in found:
            self.assertRegex(page, rf"  {row['cable']} +\S+ +\S+")
            if row["place"] == "switches":
                self.assertIn(f"to {row['to']}: {row['cables']} cables", page)
        self.assertIn("name exactly one", self.call("check", "abci", "dgx1-v100", "--links", code=2).stderr)

    def test_faults_are_code_2(self):
        text = (SOURCE / "data/clusters/dgx1-v100.toml").read_text()
        self.write("mine.toml", text.replace("gpus = 8", "gpuz = 8", 1))
        done = subprocess.run([PROGRAM, "check", "mine.toml"], cwd=self.here, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "LOCKSTEP_DATA": str(SOURCE / "data")})
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr, r"mine\.toml:\d+:\d+:.*gpuz")


class Others(CommandTest):
    def test_collective_prints_one_row_per_size(self):
        rows = json.loads(self.call("collective", "dgx1-v100", "--gpus", 8, "--sizes", "8:64", "--json").stdout)
        self.assertEqual([r["bytes"] for r in rows], [8, 16, 32, 64])
        for r in rows:  # busbw = algbw 2 (n - 1) / n
            self.assertAlmostEqual(r["busbw_GBps"], r["algbw_GBps"] * 2 * 7 / 8, delta=1e-9)

    def test_plan_counts_every_gradient(self):
        self.assertIn("161 gradients", self.call("plan", RUN).stdout)

    def test_simulate_says_what_the_machine_would_not_do(self):
        said = self.call("simulate", RUN, "--set", "training.global_batch=100000", "--set", "training.precision=bf16", "--no-interval", "--no-curve").stderr
        self.assertIn("images per GPU and micro-step need at least", said)
        self.assertIn("has no units for bf16", said)

    def test_simulate_names_what_limits_its_input(self):
        base = ["simulate", RUN, "--no-interval", "--quiet", "--set", "output.directory=", "--set", "output.curve=[]"]
        self.assertNotIn("limits the step", self.call(*base).stdout)
        for key, word in [("data.decode_rate=100", "decode its images (data.decode_rate)"),
                          ("data.storage_rate=10MBps", "read its images from storage (data.storage_rate)")]:
            self.assertIn(word, self.call(*base, "--set", key).stdout)

    def test_a_smaller_world_is_one_set_away(self):
        many = SOURCE / "experiments/fujitsu_abci_2048/run.toml"  # it traces rank 2047
        self.call("plan", many, "--set", "cluster.gpus=64", "--set", "training.global_batch=2560")

    def test_list(self):
        for what, expected in [("models", "resnet50"), ("clusters", "abci"), ("gpus", "v100-sxm2-16gb"), ("keys", "allreduce.in_flight = 1"), ("words", "halving_doubling")]:
            with self.subTest(what):
                self.assertIn(expected, self.call("list", what).stdout)

    def test_completion_is_shell(self):
        for shell in ["bash", "zsh"]:
            text = self.call("completion", shell).stdout
            self.assertIn("simulate", text)


class Interrupt(CommandTest):
    def test_ctrl_c_ends_a_long_sweep_and_keeps_what_is_done(self):
        words = [PROGRAM, "sweep", str(RUN), "--over", "cluster.gpus=8", "--over", "training.seed=1:2000:1", "--quiet",
                 "--output", "s"]
        environment = {**os.environ, "LOCKSTEP_DATA": str(SOURCE / "data")}
        running = subprocess.Popen(words, cwd=self.here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        results = self.here / "s" / "results.csv"
        for _ in range(600):
            if results.exists() and results.read_text().count("\n") >= 3 or running.poll() is not None:
                break
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130, out + err)
        self.assertGreaterEqual(results.read_text().count("\n"), 3, "a header and two points at least")
        self.assertIn("--resume", out + err)

    def test_ctrl_c_ends_a_long_collective_and_keeps_its_rows(self):
        words = [PROGRAM, "collective", "abci", "--gpus", "2048", "--algorithm", "ring", "--channels", "1", "--quiet",
                 "--sizes", "4KiB," + ",".join(["1GiB"] * 100)]
        environment = {**os.environ, "LOCKSTEP_DATA": str(SOURCE / "data")}
        running = subprocess.Popen(words, cwd=self.here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        lines = [running.stdout.readline() for _ in range(3)]
        self.assertEqual(lines[2].split()[0], "4096", lines)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 130, out + err)
        self.assertEqual(err, "")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
