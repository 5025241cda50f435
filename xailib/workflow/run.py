"""Execute one slice: a notebook, its parameter files, its outputs. `python -m xailib.workflow slice --help`.

The slice itself is `xailib.workflow.slices`; `xailib.workflow.warm` gives it a process of its own, whose end this outlives.
"""

import sys

from xailib.workflow import slices, warm


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's error, 1 for others, 130 if interrupted."""
    words = sys.argv[1:] if words is None else words
    arguments = slices.parser().parse_args(words)
    status = warm.execute(words, arguments.warm)
    if status is None:
        slices.remove(slices.results(arguments))
        killed = f"its process was killed (out of memory?); open {arguments.log}"
        print(f"error: {arguments.notebook}: {killed}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
