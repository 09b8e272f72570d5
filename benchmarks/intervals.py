"""How often the intervals of the review loop cover: one JSON line for each setting.

PYTHONPATH=tests/review python benchmarks/coverage.py [repetitions]
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from tests.review.test_estimates import coverage


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for setting, figures in coverage(repetitions):
        print(json.dumps({"setting": asdict(setting), "repetitions": repetitions} | figures))


if __name__ == "__main__":
    main()
