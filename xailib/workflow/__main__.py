"""The command line: `xailib COMMAND ...`, or `python -m xailib.workflow COMMAND ...`; each has a `--help` of its own.

Every slice of a study starts here, so a command imports what it needs and no more.
"""

import argparse
import importlib
import sys
from pathlib import Path

from xailib.errors import InputError, command

# Command -> the module whose `main` takes its words; commands of a study as a whole are run by `_of_study`.
MODULES = {
    "slice": "xailib.workflow.run",
    "plan": "xailib.workflow.plan",
    "report": "xailib.analysis.page",
    "explorer": "xailib.explorer.study_page",
    "fetch": "xailib.models.fetch",
    "endings": "xailib.workflow.cluster",
    "architecture": "xailib.workflow.architecture",
    "init": "xailib.workflow.init",
    "doctor": "xailib.workflow.doctor",
    "export": "xailib.workflow.export",
    "cite": "xailib.params.citations",
}
# Those that take a folder -> the module whose function of the same name takes the study and the folder.
OF_STUDY = {"images": "xailib.roar.images", "choose": "xailib.workflow.choose", "collect": "xailib.workflow.collect"}
HELP = """\
commands:
  init      write a workspace: a study of your own networks on your own images
  doctor    say what is installed, where networks will run, and what a study lacks
  cite      print BibTeX of a study, method, metric or network
  export    write a study's results as a data set of the Hugging Face hub, or as an RO-Crate
  slice     execute one slice: a notebook, its parameter files, its outputs
  plan      say what a study will cost on this machine: passes, hours, memory
  images    build the images of a ROAR study
  choose    choose the images of a study that get maps
  collect   join the tables of a study's slices
  report    make one page of a study's executed report.ipynb
  explorer  make one page of all maps of a study, to click through
  where     say where that page is
  fetch     fetch the weights of networks
  endings   say which slices Slurm ended, by its logs
  architecture  write docs/architecture.md
"""


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's error, and what the command says otherwise."""
    parser = argparse.ArgumentParser(prog="xailib", epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=[*MODULES, *OF_STUDY, "where"], metavar="COMMAND")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="what the command takes; see its --help")
    arguments = parser.parse_args(words)
    if arguments.command in MODULES:
        return importlib.import_module(MODULES[arguments.command]).main(arguments.words)
    return _of_study(arguments.command, arguments.words)


def _of_study(command: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m xailib.workflow {command}")
    parser.add_argument("study", help="an id of params/studies/, or a YAML file")
    if command != "where":
        parser.add_argument("folder", type=Path, help="its folder of results, or of images")
    arguments = parser.parse_args(words)
    from xailib.workflow.study import open_study

    study = open_study(arguments.study)
    if command == "images" and not study.estimators:
        raise InputError(f"{arguments.study} is no ROAR study, whose images alone are built")
    if command == "choose" and not study.chooses:
        raise InputError(f"{arguments.study} chooses no images: that is for studies of maps with only_correct: true")
    if command == "where":
        print(f"Report: {study.kept.with_name('report.html')}")
    else:
        getattr(importlib.import_module(OF_STUDY[command]), command)(study, arguments.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
