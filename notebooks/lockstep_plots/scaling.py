#!/usr/bin/env python3
"""Plots a result directory of `lockstep simulate`: the scaling curve with the published points, and where the step goes.

Usage: python3 notebooks/lockstep_plots/scaling.py RESULT_DIRECTORY
Reads scaling.csv and result.json; writes scaling.png and scaling.svg beside them.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import style  # noqa: E402
import tables  # noqa: E402


def read(directory):
    """Rows of scaling.csv as floats, and result.json."""
    table = tables.read(directory / "scaling.csv", ["gpus", "step_ms", "images_per_s", "efficiency", *(key for key, *_ in style.PARTS)],
                        "scaling.csv of `lockstep simulate` with a scaling curve")
    rows = [{column: row.number(column) for column in row} for row in table]
    try:
        with open(directory / "result.json") as f:
            result = json.load(f)
    except FileNotFoundError as e:
        sys.exit(f"{e.filename}: no such file; expected a result directory of `lockstep simulate` with a scaling curve")
    if not rows:
        sys.exit(f"{directory / 'scaling.csv'}: no rows")
    return rows, result


def thousands(value, _):
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k" if value >= 1e3 else f"{value:g}"


def plot(directory):
    rows, result = read(directory)
    gpus = [r["gpus"] for r in rows]
    fig, (rate, parts) = style.figure(10.5, 4.4, ncols=2)

    alone = rows[0]["images_per_s"] / rows[0]["efficiency"] / rows[0]["gpus"]
    rate.plot(gpus, [alone * n for n in gpus], label="ideal: one GPU x n", **style.IDEAL)
    rate.plot(gpus, [r["images_per_s"] for r in rows], label="predicted", **style.PREDICTED)
    if "step_low_ms" in result and result["gpus"] in gpus:
        batch = result["global_batch"]
        low, high = batch / result["step_high_ms"] * 1e3, batch / result["step_low_ms"] * 1e3
        mid = result["images_per_s"]
        rate.errorbar([result["gpus"]], [mid], yerr=[[mid - low], [high - mid]], color=style.PREDICTED["color"], capsize=4,
                      label="interval of the prediction")
    points = [p for p in result["published"] if p["quantity"] == "images_per_s"]
    if points:
        rate.plot([p["gpus"] for p in points], [p["value"] for p in points], label="published", **style.PUBLISHED)
    rate.set_xscale("log", base=2)
    rate.set_yscale("log")
    rate.set_xticks(gpus)
    rate.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    rate.yaxis.set_major_formatter(thousands)
    rate.minorticks_off()
    rate.set_xlabel("GPUs")
    rate.set_ylabel("images/s")
    rate.set_title(f"{result['model']} on {result['cluster']}, weak scaling")
    rate.grid(True, which="major", color="0.9")
    rate.legend(frameon=False, loc="upper left")
    last = rows[-1]
    rate.text(0.97, 0.05, f"{100 * last['efficiency']:.0f} % of ideal at {last['gpus']:g} GPUs", transform=rate.transAxes, ha="right",
              color=style.PREDICTED["color"])

    bottom = [0.0] * len(rows)
    places = range(len(rows))
    for key, label, color, hatch in style.PARTS:
        heights = [r[key] for r in rows]
        if max(heights) < 0.005 * max(r["step_ms"] for r in rows):
            continue
        parts.bar(places, heights, bottom=bottom, label=label, color=color, hatch=hatch, edgecolor="white", width=0.8)
        bottom = [b + h for b, h in zip(bottom, heights)]
    steps = [p for p in result["published"] if p["quantity"] == "step_ms" and p["gpus"] in gpus]
    if steps:
        parts.plot([gpus.index(p["gpus"]) for p in steps], [p["value"] for p in steps], label="published step", **style.PUBLISHED)
    parts.set_xticks(list(places), [f"{n:g}" for n in gpus])
    parts.set_xlabel("GPUs")
    parts.set_ylabel("step time, ms")
    parts.set_title("where the step goes")
    parts.set_ylim(0, 1.45 * max(bottom + [p["value"] for p in steps]))
    parts.legend(frameon=False, loc="upper left", ncols=2)
    parts.grid(True, axis="y", color="0.9")
    parts.set_axisbelow(True)
    style.save(fig, directory / "scaling")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    plot(pathlib.Path(sys.argv[1]))
