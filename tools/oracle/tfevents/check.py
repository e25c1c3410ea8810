#!/usr/bin/env python3
"""Reads an event file with TensorBoard's own reader and prints what it found as JSON.

    python tools/oracle/tfevents/check.py internal/lm/tfevents/testdata/events.out.tfevents.golden \\
        > internal/lm/tfevents/testdata/tensorboard.json

Needs tensorboard. Values are written as texts, for infinities.
"""

import json
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def text(x):
    return json.dumps(float(f"{x:.9g}")) if math.isfinite(x) else str(x)


def main(path):
    events = EventAccumulator(path)
    events.Reload()
    out = {
        tag: [{"Step": s.step, "Time": s.wall_time, "Value": text(s.value)} for s in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    json.dump(out, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
