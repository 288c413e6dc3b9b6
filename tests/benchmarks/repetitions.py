"""How far apart the repetitions of one run are: `python -m tests.benchmarks.repetitions results/RUN`.

For each arm how many are valid for times, and the spread (greatest less least, over the median) of those,
without disturbed figures, beside that of all.
"""

import json
import sys
from pathlib import Path

from tests.benchmarks.stability import TIMES, spread


def main(path):
    arms = json.loads((Path(path) / "summary.json").read_text("utf-8"))["arms"]
    print("| measure | spread of what is valid | of all |\n|---|---:|---:|")
    for name, arm in arms.items():
        repetitions = arm["repetitions"]
        valid = [one for one in repetitions if one["valid"]]
        print(f"| `{name}`: {len(valid)} of {len(repetitions)} valid | | |")
        for measure in TIMES:
            kept = [one for one in valid if measure not in one["latency_ms"]["disturbed"]]
            spreads = (spread([one["latency_ms"][measure] for one in some]) for some in (kept, repetitions))
            print(f"| `{name}` {measure} | " + " | ".join(f"{value:.1%}" for value in spreads) + " |")


if __name__ == "__main__":
    main(sys.argv[1])
