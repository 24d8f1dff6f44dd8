#!/usr/bin/env python3
"""notebooks/lockstep_plots: each draws what the program wrote, and tells file, line and column of what is wrong with it.

    plots_test.py PROGRAM SOURCE_DIR
Exit code 77 (skipped) where pandas or matplotlib are missing.
"""
import itertools
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
try:
    import matplotlib  # noqa: F401
    import pandas
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)
PLOTS = SOURCE / "notebooks" / "lockstep_plots"
DGX = SOURCE / "experiments" / "dgx_ladders" / "run.toml"
ABCI = SOURCE / "experiments" / "fujitsu_abci_2048" / "run.toml"
sys.path.insert(0, str(PLOTS))
import learning_curve  # noqa: E402
import style  # noqa: E402
import sweep  # noqa: E402
import tables  # noqa: E402

TRIALS = """index,series,stage,optimizer,batch,accumulation,rate,edge,warmup,warmup_epochs,epochs,decay,weight_decay,label_smoothing,tuning_trials,seed,steps,top1_percent,loss,diverged,wall_s,digest,error
0,LARS,tune,lars,2048,1,8,,gradual,1,5,polynomial,0.0001,0,2,1,145,83.2,0.5,no,1.0,a,
1,LARS,tune,lars,2048,1,16,,gradual,1,5,polynomial,0.0001,0,2,1,145,,,yes,1.0,b,
2,LARS,final,lars,2048,1,8,low,gradual,1,5,polynomial,0.0001,0,2,11,145,83.5,0.5,no,1.0,c,
3,LARS,final,lars,2048,1,8,low,gradual,1,5,polynomial,0.0001,0,2,12,145,83.1,0.5,no,1.0,d,
4,LARS,final,lars,4096,1,8,,gradual,1,5,polynomial,0.0001,0,2,11,73,80.5,0.5,no,1.0,e,
5,LARS,final,lars,4096,1,8,,gradual,1,5,polynomial,0.0001,0,2,12,73,,,no,1.0,f,the disk is full
"""


class PlotTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.here = pathlib.Path(folder.name)

    def program(self, *words):
        subprocess.run([PROGRAM, "--quiet", "--data", SOURCE / "data", *words], cwd=self.here, check=True, capture_output=True, timeout=120)

    def plot(self, name, *words):
        """(exit code, standard error) of a script."""
        done = subprocess.run([sys.executable, PLOTS / f"{name}.py", *words], cwd=self.here, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stderr.strip()

    def draws(self, name, words, pictures):
        self.assertEqual(self.plot(name, *words), (0, ""))
        for picture in pictures:
            for ending in ("png", "svg"):
                self.assertGreater((self.here / f"{picture}.{ending}").stat().st_size, 5000)

    def texts(self, picture):
        """What stands in an SVG."""
        return [text.strip() for text in re.findall(r"<!--(.*?)-->", (self.here / f"{picture}.svg").read_text(), re.DOTALL)]

    def misses(self, name, words, table, column):
        """With `column` under another name the plot ends with one line that tells where, what was expected and what was found."""
        path = self.here / table
        whole = path.read_text()
        lines = whole.splitlines(keepends=True)
        header = lines[0].rstrip("\n").split(",")
        at = header.index(column)
        place = len(",".join(header[:at])) + (at > 0) + 1
        lines[0] = ",".join(h if h != column else column + "s" for h in header) + "\n"
        path.write_text("".join(lines))
        code, err = self.plot(name, *words)
        self.assertEqual(code, 1, err)
        self.assertRegex(err, rf'^{table}:1:{place}: {column}: no such column; expected one of this name, as in [^\n]*; found "{column}s"$')
        path.write_text(whole)


class Plots(PlotTest):
    def test_accuracy_and_learning_curves(self):
        self.program("accuracy", "--csv", "a")
        self.draws("accuracy", ["a"], ["a/accuracy"])
        self.draws("learning_curve", ["a"], ["a/learning_curve"])
        for table, column in [("points", "sigma"), ("fits", "form"), ("curves", "extrapolated")]:
            self.misses("accuracy", ["a"], f"a/{table}.csv", column)
        self.misses("learning_curve", ["a"], "a/learning_curves.csv", "top1_percent")

    def test_times_at_other_batches(self):
        for optimizer, epochs, target in [("lars", 60, True), ("sgd", 90, False)]:
            with self.subTest(optimizer):
                self.program("accuracy", "--run", ABCI, "--set", f"training.epochs={epochs}", "--set", f"optimizer.kind={optimizer}", "--epochs", "72",
                             "--batch", "32768,65536", "--csv", optimizer)
                self.draws("accuracy", [optimizer], [f"{optimizer}/accuracy"])
                texts = self.texts(f"{optimizer}/accuracy")
                # The table of times tells no epochs; fits of 90 and 100 epochs say nothing of 72.
                self.assertIn("top-1 and time of one run file at other batches, on 2048 GPUs", texts)
                self.assertIn("top-1 after fixed epochs (SGD 90, LARS 72, LARS of 2017 100)", texts)
                self.assertEqual("75.9 %" in texts, target)
        self.misses("accuracy", ["lars"], "lars/timed.csv", "time_to_target_s")

    def test_scaling(self):
        self.program("simulate", DGX, "--no-interval", "--set", "output.curve=[1, 2]", "--output", "s")
        self.draws("scaling", ["s"], ["s/scaling"])
        self.misses("scaling", ["s"], "s/scaling.csv", "efficiency")

    def test_sweep(self):
        self.program("sweep", DGX, "--over", "cluster.gpus=1,2,4", "--per-gpu-batch", "64", "--output", "w")
        self.draws("sweep", ["w"], ["w/sweep", "w/pareto"])
        self.misses("sweep", ["w"], "w/results.csv", "gpu_hours")
        (self.here / "w" / "sweep.json").write_text("[]")
        code, err = self.plot("sweep", "w")
        self.assertEqual(code, 1)
        self.assertRegex(err, r"^w/sweep\.json: cannot be read: .*; expected sweep\.json of `lockstep sweep`$")

    def test_the_title_of_a_sweep_names_the_run(self):
        shutil.copy(DGX, self.here / "mine.toml")
        for run, title in [("mine.toml", "mine: 2 points"), (DGX, "dgx_ladders: 2 points")]:
            self.program("sweep", run, "--over", "cluster.gpus=1,2", "--per-gpu-batch", "64", "--output", "t", "--force")
            self.draws("sweep", ["t"], ["t/sweep"])
            self.assertIn(title, self.texts("t/sweep"))

    def test_a_sweep_over_many_keys(self):
        self.program("sweep", DGX, "--over", "cluster.gpus=1..8", "--per-gpu-batch", "16,32,64", "--over", "cluster_file.node.nvlink.per_link=10GBps,160Gbps,25GBps",
                     "--over", "allreduce.library=nccl-2.4,nccl-2.8", "--output", "m")
        self.draws("sweep", ["m"], ["m/sweep"])
        texts = self.texts("m/sweep")
        for text in ("cluster_file.node.nvlink.per_link", "160Gbps", "images per GPU and step,", "allreduce.library", "16, nccl-2.4", "64, nccl-2.8"):
            self.assertEqual(texts.count(text), 1, text)

    def test_validation(self):
        shutil.copy(SOURCE / "tests" / "golden" / "validation.csv", self.here / "v.csv")
        self.draws("validation", ["v.csv"], ["v"])
        self.misses("validation", ["v.csv"], "v.csv", "predicted")

    def test_measured_accuracy(self):
        (self.here / "trials.csv").write_text(TRIALS)
        self.draws("accuracy_measured", ["trials.csv"], ["accuracy_vs_batch"])
        self.misses("accuracy_measured", ["trials.csv"], "trials.csv", "top1_percent")
        (self.here / "trials.csv").write_text(TRIALS.replace("final,lars,2048,1,8,low", "final,lars,2048,1,eight,low", 1))
        self.assertEqual(self.plot("accuracy_measured", "trials.csv"), (1, 'trials.csv:4: rate: expected a number, found "eight"'))


class Sweeps(unittest.TestCase):
    def test_units_are_those_of_the_program(self):
        source = (SOURCE / "core/base/units_text.cpp").read_text().split("struct Quantity")[0]
        tables = dict(re.findall(r"(k\w+)\[\] = \{(.*?)\};", source, re.DOTALL))
        parsed = {unit: float(factor) * (1e-12 if table == "kTimes" else 1)  # there in picoseconds
                  for table, rows in tables.items() for unit, factor in re.findall(r'\{"(\w+)",\s*([0-9.e]+)\}', rows)}
        self.assertEqual(set(sweep.UNITS), set(parsed))
        for unit, factor in parsed.items():
            self.assertAlmostEqual(sweep.UNITS[unit] / factor, 1, places=12)

    def test_rates_lie_where_their_numbers_do(self):
        # In GB/s 0.5, 2, 25 / 8 = 3.125, 100 / 8 = 12.5. The smallest gap is 1.125 / 12 = 0.09 of all, of logarithms ln(3.125 / 2) / ln(12.5 / 0.5) = 0.14.
        scale = sweep.Scale("rate", ["500MBps", "100Gbps", "25Gbps", "2GBps"])
        self.assertEqual(scale.order, ["500MBps", "2GBps", "25Gbps", "100Gbps"])
        self.assertEqual([scale.at[t] for t in scale.order], [0.5e9, 2e9, 3.125e9, 12.5e9])
        self.assertTrue(scale.numeric and scale.log)
        for texts, log in [(["1GBps", "2GBps", "4GBps"], True), (["1GBps", "2GBps", "3GBps"], False), (["0ns", "1ns", "10ns"], False), (["1", "8"], False),
                           (["1GBps", "8Gbps", "4GBps"], False)]:
            self.assertEqual((sweep.Scale("x", texts).numeric, sweep.Scale("x", texts).log), (True, log), texts)
        self.assertFalse(sweep.Scale("x", ["1GBps", "auto"]).numeric)

    def test_ticks_carry_the_unit(self):
        _, axis = style.figure()
        sweep.Scale("rate", [f"{i}GBps" for i in range(1, 41)]).dress(axis)
        self.assertEqual([t.get_text() for t in axis.get_xticklabels()][:2], ["1GBps", "5GBps"])
        sweep.plt.close("all")

    def grid(self, *counts):
        rows = list(itertools.product(*([f"{key}{i}" for i in range(count)] for key, count in zip("abcdef", counts))))
        return pandas.DataFrame(rows, columns=list("abcdef"[:len(counts)]))

    def test_thirty_lines_are_told_apart(self):
        for counts in [(5, 3), (6, 5), (10, 3), (2, 15), (3, 3, 3), (2, 2, 2, 2), (30, 1)]:
            with self.subTest(counts):
                table = self.grid(*counts)
                series = sweep.Series(table, list(table.columns))
                looks = {tuple(series.look(row).values()) for _, row in table.iterrows()}
                self.assertEqual((series.lines, len(looks)), (len(table), len(table)))
        (heading, *first, second), rest = (lambda h: (h[:5], h[5:]))(sweep.Series(self.grid(2, 3), ["a", "b"]).legend())
        self.assertEqual([h.get_label() for h in (heading, *first, second, *rest)], ["b", "b0", "b1", "b2", "a", "a0", "a1"])

    def test_more_lines_are_counted_and_their_colour_explained(self):
        table = self.grid(24, 3)
        series = sweep.Series(table, ["a", "b"])
        self.assertEqual(len({tuple(series.look(row).values()) for _, row in table.iterrows()}), 24)
        labels = [h.get_label() for h in series.legend()]
        self.assertEqual(labels, ["72 combinations of\na,\nb", "colour: a (12 of 24 shown)", *(f"a{i}" for i in range(0, 24, 2))])

    def test_a_legend_is_never_cut_off(self):
        for values, length in [(30, 5), (3, 120)]:
            fig, _ = style.figure()
            sweep.legend_beside(fig, [sweep.Line2D([], [], label=f"{i:0{length}}") for i in range(values)])
            fig.draw_without_rendering()
            box = fig.legends[0].get_window_extent()
            self.assertTrue(box.x0 >= fig.axes[0].get_window_extent().x1 and box.x1 <= fig.bbox.x1 and box.y0 >= 0 and box.y1 <= fig.bbox.y1, box)
            sweep.plt.close("all")


class Tables(PlotTest):
    def fault(self, text, columns=("a",)):
        path = self.here / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with self.assertRaises(SystemExit) as raised:
            tables.read(path, columns, "t.csv of x")
        return str(raised.exception).replace(str(self.here) + "/", "")

    def test_quotes_comments_and_lines(self):
        (self.here / "t.csv").write_text('# of x\n\na, b\n"1,\n2",3\n')
        (row,) = tables.read(self.here / "t.csv", ["a", "b"], "t.csv of x")
        self.assertEqual((row["a"], row.number("b")), ("1,\n2", 3))

    def test_what_is_wrong(self):
        self.assertEqual(self.fault("# of x\nb,c\n1,2\n"), "t.csv:2:1: a: no such column; expected one of this name, as in t.csv of x; found b, c")
        self.assertEqual(self.fault("b\n"), "t.csv:1:1: a: no such column; expected one of this name, as in t.csv of x; found b")
        self.assertEqual(self.fault("a,b\n1\n"), "t.csv:2:1: 1 cells; the header has 2")
        self.assertEqual(self.fault(""), "t.csv:1:1: no header line; expected t.csv of x")
        self.assertIn("cannot be read", self.fault(b"a\n\xff\n"))
        with self.assertRaisesRegex(SystemExit, "nope.csv: no such file; expected t.csv of x"):
            tables.read(self.here / "nope.csv", ["a"], "t.csv of x")


class LearningCurves(PlotTest):
    def test_means_and_clocks(self):
        (self.here / "l.csv").write_text(",".join(learning_curve.NEEDED) + "\n" + "".join(
            f"s,S,recipe,{run},8,,{epoch},{top1},{seconds}\n" for run, epoch, top1, seconds in
            [("r0", 1, 10, 4), ("r0", 2, 30, 6), ("r1", 1, 20, 2), ("r1", 2, 40, 8), ("r1", 3, 50, 9)]))
        (curve,) = learning_curve.curves(tables.read(self.here / "l.csv", learning_curve.NEEDED, "x"))
        self.assertEqual((curve.epochs, curve.mean(), curve.seconds(), curve.warmup), ([1, 2], [15, 35], [3, 7], None))  # epoch 3: one run alone
        clock = learning_curve.interpolated(curve.epochs, curve.seconds())
        self.assertEqual(list(clock([1, 1.5, 2, 3, 0])), [3, 5, 7, 11, -1])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
