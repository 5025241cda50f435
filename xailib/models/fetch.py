"""Fetch the weights of models, once: `python -m xailib.models.fetch MODEL ...`. Afterwards everything works offline."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from xailib import params
from xailib.errors import InputError
from xailib.models.checkpoints import own_file, sha256_of
from xailib.models.download import download
from xailib.models.sources import marker, remote


def fetch(model: str, **options: Any) -> Path | None:
    """Fetch a model's weights unless they are there, and return the file; None where its source needs no network.

    Where the record gives no sha256, the one of the first download is kept in `fetched.json` and later loads check it.

    Args:
        model: an id from `list_models()`.
        options: those of `download`.

    Raises:
        InputError: an unknown model, source or address, or a download that fails; see `download`.
    """
    record = params.load_params("models", model)
    wanted = remote(record)
    if wanted is None:
        if record["weights"]["source"] == "file":
            own_file(record)
        return None
    note = marker(model)
    path = note.parent / wanted.name
    if path.exists() and not sha256_of(path).startswith(wanted.sha256):
        path.unlink()  # an older version, or a damaged one
    download(wanted.url, path, sha256=wanted.sha256, **options)
    facts = {"name": path.name, "url": wanted.url, "sha256": sha256_of(path), "bytes": path.stat().st_size}
    partial = note.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1) + "\n")
    partial.replace(note)
    return path


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 when a model could not be fetched."""
    parser = argparse.ArgumentParser(prog="python -m xailib.models.fetch", description=__doc__)
    parser.add_argument("models", nargs="+", help="ids of params/models/, or patterns such as '*_vanilla'")
    status = 0
    try:
        models = params.resolve("models", parser.parse_args(words).models)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for model in models:
        try:
            path = fetch(model)
        except InputError as error:
            print(f"error: {model}: {error}", file=sys.stderr)
            status = 2
            continue
        except KeyboardInterrupt:
            print("error: interrupted; what came is kept, run the same command again to go on", file=sys.stderr)
            return 130
        print(f"{model}: {path or 'nothing to fetch'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
