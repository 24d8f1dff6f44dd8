#!/usr/bin/env python3
"""Plots a result directory of `lockstep train`: loss and learning rate over epochs, test accuracy, and where the step goes.

Usage: python3 notebooks/lockstep_plots/training.py RESULT_DIRECTORY
Reads log.jsonl; writes training.png and training.svg beside it.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402


def read(directory):
    """Records of log.jsonl; of a step that was logged twice (a resumed run) the later one counts."""
    try:
        with open(directory / "log.jsonl") as f:
            records = [json.loads(line) for line in f if line.strip()]
    except FileNotFoundError as e:
        sys.exit(f"{e.filename}: no such file; expected a result directory of `lockstep train`")
    except json.JSONDecodeError as e:
        sys.exit(f"{directory / 'log.jsonl'}: {e}")
    if any(r["event"] == "start" and r.get("format") != 1 for r in records):
        sys.exit(f"{directory / 'log.jsonl'}: written by another version of lockstep; expected format 1")
    steps = {r["step"]: r for r in records if r["event"] == "steps"}
    evaluations = {r["step"]: r for r in records if r["event"] == "evaluation"}
    if not steps:
        sys.exit(f"{directory / 'log.jsonl'}: no steps in it yet")
    return [steps[s] for s in sorted(steps)], [evaluations[s] for s in sorted(evaluations)]


def plot(directory):
    steps, evaluations = read(directory)
    epochs = [r["epoch"] for r in steps]
    fig, (loss, top1, parts) = style.figure(13.0, 4.0, ncols=3, width_ratios=[1.2, 1, 0.8])

    loss.plot(epochs, [r.get("loss") for r in steps], color=style.PREDICTED["color"], linewidth=1.2, label="training loss")
    if any("loss" in e for e in evaluations):
        loss.plot([e["epoch"] for e in evaluations], [e.get("loss") for e in evaluations], label="test loss", **style.PUBLISHED)
    rate = loss.twinx()
    rate.plot(epochs, [r["lr"] for r in steps], label="learning rate", **style.IDEAL)
    rate.set_ylabel("learning rate")
    rate.set_ylim(bottom=0)
    rate.spines["right"].set_visible(True)
    loss.set_xlabel("epoch")
    loss.set_ylabel("cross-entropy")
    loss.set_ylim(bottom=0)
    loss.grid(alpha=0.3)
    lines = loss.get_lines() + rate.get_lines()
    loss.legend(lines, [line.get_label() for line in lines], frameon=False, fontsize=8)
    loss.set_title("Loss of the last step before each log line")

    scored = [e for e in evaluations if "top1_percent" in e]
    top1.plot([e["epoch"] for e in scored], [e["top1_percent"] for e in scored], **style.PREDICTED)
    if scored:
        last = scored[-1]
        top1.annotate(f"{last['top1_percent']:.2f} %", (last["epoch"], last["top1_percent"]), textcoords="offset points",
                      xytext=(-6, -14), ha="right")
    top1.set_xlim(0, 1.05 * max(epochs))
    top1.set_xlabel("epoch")
    top1.set_ylabel("top-1 (%)")
    top1.grid(alpha=0.3)
    top1.set_title("Accuracy on the test images")

    bottom, total = 0.0, sum(r["images"] for r in steps)
    for key, name, color, hatch in style.PARTS:
        mean = sum(r["parts_ms"][key.removesuffix("_ms")] * r["images"] for r in steps) / total
        parts.bar([0], [mean], bottom=[bottom], color=color, hatch=hatch, edgecolor="white", label=f"{name} {mean:.2f} ms", width=0.5)
        bottom += mean
    parts.set_xlim(-0.35, 2.9)
    parts.set_xticks([])
    parts.set_ylabel("ms per step")
    handles, names = parts.get_legend_handles_labels()
    parts.legend(handles[::-1], names[::-1], frameon=False, fontsize=8, loc="center right")
    parts.set_title("Where the step goes")
    style.save(fig, directory / "training")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(pathlib.Path(sys.argv[1]))
