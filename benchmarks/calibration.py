"""How often verdicts are wrong, and how often they are given, on studies whose truth is planted: `docs/calibration.md`.

python benchmarks/calibration.py --studies 400 --out docs
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "analysis"))

import planted
import roar_synthetic

from xailib.analysis import claims, roar_claims
from xailib.analysis.roar_curves import curves


def count(claim: str, world: object, studies: int, copies: int) -> Counter[str]:
    """Return how often each word is the verdict on one claim, over studies drawn from one world."""
    words: Counter[str] = Counter()
    for seed in range(studies):
        if claim in claims.CLAIMS:
            found = claims.CLAIMS[claim].test(planted.study(world, seed), copies, seed)
        else:
            drawn = roar_synthetic.study(seed, **{**planted.SHAPE, **world})
            found = roar_claims.CLAIMS[claim].test(curves(drawn, copies, seed))
        words[found.verdict] += 1
    return words


def measure(studies: int, copies: int, only: list[str]) -> dict[str, dict[str, Counter[str]]]:
    """Return the words of every claim in every world."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for claim, worlds in {**planted.WORLDS, **planted.ROAR_WORLDS}.items():
        if only and claim not in only:
            continue
        for name, (world, wrong) in worlds.items():
            start, drawn = time.time(), studies if set(wrong) == set(planted.BOTH) else studies // 2
            words = found.setdefault(claim, {})[name] = count(claim, world, drawn, copies)
            told = sum(words[word] for word in wrong) / drawn
            print(f"{claim} {name:36} wrong {told:6.1%} {dict(words)} {time.time() - start:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = measure(given.studies, given.copies, given.only)
    if given.json:
        given.json.write_text(json.dumps(result))
