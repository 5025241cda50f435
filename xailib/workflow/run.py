"""Execute one slice: a notebook, its parameter files, its outputs. `python -m xailib.workflow.run --help`.

The slice itself is `xailib.workflow.slices`; this starts it, with `--warm` in a fork of the warm server (`xailib.workflow.warm`).
"""

import sys

from xailib.workflow import slices as slicerun


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's error, 1 for others, 130 if interrupted."""
    words = sys.argv[1:] if words is None else words
    if slicerun.parser().parse_args(words).warm:
        from xailib.workflow import warm  # for Unix only

        status = warm.execute([word for word in words if word != "--warm"])
        if status is not None:
            return status
    return slicerun.command(words)


if __name__ == "__main__":
    sys.exit(main())
