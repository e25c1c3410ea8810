#!/usr/bin/env python3
"""Deals reasoning paths to other problems: the control of real-weights.yaml.

    shuffle.py paired|shuffled IN.jsonl OUT.jsonl

paired copies the rows. shuffled gives every row the paths of another row of the same style
with another question: the same texts in a random order, drawn from DISTILLFLOW_SEED.
"""

import collections
import json
import os
import random
import sys


def deal(rows, rng):
    """Returns the rows' paths in an order in which none answers its own question."""
    for _ in range(10000):
        order = rng.sample(rows, len(rows))
        if all(a["question"] != b["question"] for a, b in zip(rows, order)):
            return [r["paths"] for r in order]
    sys.exit(f"shuffle.py: {len(rows)} rows of one style cannot be dealt to other questions: give more questions")


def main():
    arm, source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    if arm == "shuffled":
        rng = random.Random(int(os.environ["DISTILLFLOW_SEED"]))
        styles = collections.defaultdict(list)
        for r in rows:
            styles[r["paths"][0]["style"]].append(r)
        for same in styles.values():
            for r, paths in zip(same, deal(same, rng)):
                r["paths"] = paths
    with open(target, "w", encoding="utf-8") as f:
        for r in rows:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
