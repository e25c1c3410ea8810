#!/usr/bin/env python3
"""The table of real-weights.yaml: what held-out losses fall by, arm by arm.

    ARMS="a b" losses.py OUT.md

DISTILLFLOW_IN names the scored rows of the runs: those of the first arm, then those of
the second, in the same order of seeds. Losses are in nats per byte of the held-out
response. The arms' difference is taken path by path on the same seeds. Intervals are
Student's t with 95 %: over runs, what chance of training explains, and over the held-out
paths, what their choice explains.
"""

import json
import math
import os
import statistics
import sys

T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086]


def interval(values):
    """The mean of values and its interval, as text. Beyond 20 degrees of freedom the
    last quantile stands, which errs on the wide side."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:+.4f}"
    half = T95[min(len(values) - 2, len(T95) - 1)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"


def read(path):
    """The scored paths of a file: {(id, index): (style, scores)}."""
    out = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            for i, p in enumerate(row["paths"]):
                if "scores" in p:
                    out[row["id"], i] = p["style"], {name: s["loss_per_byte"] for name, s in p["scores"].items()}
    return out


def main():
    (target,) = sys.argv[1:]
    arms = os.environ["ARMS"].split()
    files = os.environ["DISTILLFLOW_IN"].split(os.pathsep)
    each = len(files) // len(arms)
    if each * len(arms) != len(files):
        sys.exit(f"losses.py: {len(files)} runs are not equally many for each of the arms {arms}")
    runs = [read(f) for f in files]
    if any(r.keys() != runs[0].keys() for r in runs):
        sys.exit("losses.py: the runs were not measured on the same paths")
    students = [name for name in next(iter(runs[0].values()))[1] if name != "untrained"]
    styles = sorted({style for style, _ in runs[0].values()})

    def fall(run, key, names=students):
        scores = run[key][1]
        return statistics.fmean(scores["untrained"] - scores[n] for n in names)

    lines = [f"# Held-out losses\n\n{len(runs[0])} held-out paths, {each} runs of each arm, nats per byte.\n",
             "| arm | style | paths | student | untrained | trained | fall (95 % over runs) |", "|:--- |:--- | ---:|:--- | ---:| ---:| ---:|"]
    for style in ["all", *styles]:
        keys = [k for k, (s, _) in runs[0].items() if style in ("all", s)]
        for a, arm in enumerate(arms):
            legs = runs[a * each:(a + 1) * each]
            for name in students:
                before = statistics.fmean(legs[0][k][1]["untrained"] for k in keys)
                falls = [statistics.fmean(fall(r, k, [name]) for k in keys) for r in legs]
                lines.append(f"| {arm} | {style} | {len(keys)} | {name} | {before:.4f} | {before - statistics.fmean(falls):.4f} | {interval(falls)} |")
    lines += [f"\nFall in {arms[0]} less that in {arms[1]}, mean of the students:\n",
              "| style | over runs | over paths | paths where it is positive |", "|:--- | ---:| ---:| ---:|"]
    for style in ["all", *styles]:
        keys = [k for k, (s, _) in runs[0].items() if style in ("all", s)]
        more = [[fall(runs[i], k) - fall(runs[each + i], k) for k in keys] for i in range(each)]
        by_path = [statistics.fmean(column) for column in zip(*more)]
        lines.append(f"| {style} | {interval([statistics.fmean(m) for m in more])} | {interval(by_path)} | {sum(d > 0 for d in by_path)} of {len(by_path)} |")
    text = "\n".join(lines) + "\n"
    with open(target, "w", encoding="utf-8") as f:
        f.write(text)
    print(text)


if __name__ == "__main__":
    main()
