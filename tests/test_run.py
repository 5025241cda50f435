"""The runner: strict about what goes in, all or nothing about what comes out."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from xailib.errors import InputError
from xailib.workflow import run, warm
from xailib.workflow import slices as slicerun

PARAMETERS = "x: int = 1  # a number\nout_path: str = 'out.txt'  # output"


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook of a parameters cell and the given code."""

    def write(*code: str, parameters: str = PARAMETERS) -> Path:
        cell = nbformat.v4.new_code_cell
        cells = [cell(parameters, metadata={"tags": ["parameters"]}), *map(cell, code)]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "slice.ipynb")
        return tmp_path / "slice.ipynb"

    return write


def go(notebook: Path, *words: str, main: Callable[[list[str]], int] = run.main) -> tuple[int, Path, Path, Path]:
    """Run a notebook: status, log, final notebook, output file."""
    folder = notebook.parent
    log, final, output = (
        folder / "logs" / "slice.ipynb",
        folder / "results" / "slice.ipynb",
        folder / "results" / "o.txt",
    )
    status = main([str(notebook), str(log), "--final", str(final), "-o", "out_path", str(output), *words])
    return status, log, final, output


WRITE = "open(out_path, 'w').write(str(x));"


def test_success_leaves_the_notebook_in_both_places(notebook: Callable[..., Path]) -> None:
    status, log, final, output = go(notebook(WRITE), "-p", "x", "3")
    assert (status, output.read_text()) == (0, "3")
    assert final.read_text() == log.read_text()
    assert sorted(path.name for path in final.parent.iterdir()) == ["o.txt", "slice.ipynb"]


def test_failure_keeps_the_log_and_removes_stale_results(
    notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = notebook(WRITE, "1 / 0")
    (path.parent / "results").mkdir()
    for name in ("o.txt", "slice.ipynb"):
        (path.parent / "results" / name).write_text("of an earlier run")
    status, log, final, output = go(path)
    said = capfd.readouterr().err
    assert status == 1 and not final.exists() and not output.exists()
    assert said.splitlines()[-1].startswith(f"error: {path} failed in cell ") and "ZeroDivisionError" in said
    assert "ZeroDivisionError" in log.read_text()
    assert "\x1b" not in said


def test_an_input_error_is_the_last_line(notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    status, log, final, _ = go(
        notebook("from xailib.errors import InputError\nraise InputError('masks: 0 is too few')")
    )
    assert status == 2 and log.exists() and not final.exists()
    assert capfd.readouterr().err.splitlines()[-1] == "error: masks: 0 is too few"


def test_an_output_that_is_not_written_is_a_failure(
    notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    status, _, final, _ = go(notebook("x"))
    assert status == 1 and not final.exists()
    assert "did not write" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "xx", "3"], "has no parameter 'xx'; did you mean 'x'?"),
        (["-p", "x", "1e-5"], "'1e-5' is text, not a number; write 1.0e-5"),
        (["-o", "ot_path", "a"], "has no parameter 'ot_path'; did you mean 'out_path'?"),
        (["-f", "absent.yaml"], "absent.yaml: no such parameter file"),
        (["-p", "x", "{a"], "'{a' cannot be read as YAML"),
        (["-p", "x", "2024-02-30"], "'2024-02-30' cannot be read as YAML"),
        # Words of parameter files are checked as the files are, whether or not this notebook has them.
        (["-p", "target", "foo"], "-p target: 'foo' is not one of label, predicted"),
        (["-p", "scale", "tiny"], "-p scale: no method, metric or estimator has a scale 'tiny'"),
        (["-p", "seed", "-1"], "-p seed: -1 is less than the minimum of 0"),
        (["-p", "limit", "4.0"], "-p limit: 4.0 is not a whole number or null; write 4"),
        (["-p", "split", "3"], "-p split: 3 is not text or null"),
    ],
)
def test_wrong_values_are_refused_before_a_cell_runs(
    notebook: Callable[..., Path], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, log, _, _ = go(notebook(WRITE), *words, main=slicerun.command)
    assert status == 2 and not log.exists()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "{", '{"cells": 3}'])
def test_no_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    path = tmp_path / "n.ipynb"
    if content is not None:
        path.write_text(content)
    assert slicerun.command([str(path), str(tmp_path / "log.ipynb")]) == 2
    assert "n.ipynb" in capsys.readouterr().err


def test_files_merge_and_give_a_notebook_what_it_declares(repository: Path) -> None:
    files = [repository / "params" / kind for kind in ("studies/smoke.yaml", "models/mini_resnet_vanilla.yaml")]
    values = slicerun.merge(files)
    assert values["seed"] == 0 and values["model"] == "mini_resnet_vanilla" and values["precision"] == "auto"
    given = slicerun.declared(repository / "notebooks" / "attribute.ipynb", values, set())
    assert given["limit"] == 4 and "training" not in given and "models" not in given


def test_a_scale_that_nothing_has_is_refused_by_hand_too(tmp_path: Path, repository: Path) -> None:
    study = tmp_path / "own.yaml"
    text = (repository / "params/studies/smoke.yaml").read_text()
    study.write_text(text.replace("scale: smoke", "scale: smoked").replace("study: smoke", "study: own"))
    with pytest.raises(InputError, match=r"own\.yaml: scale: .* 'smoked'; did you mean 'smoke'"):
        slicerun.merge([study])


@pytest.mark.parametrize("backend", ["Agg", "nosuch", None])
def test_figures_are_shown_whatever_backend_the_caller_prefers(
    notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, backend: str | None
) -> None:
    monkeypatch.setenv("MPLBACKEND", backend) if backend else monkeypatch.delenv("MPLBACKEND", raising=False)
    status, log, _, _ = go(notebook(WRITE, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"))
    assert status == 0 and '"image/png"' in log.read_text()


def test_figures_are_shown_by_hand_whatever_backend_is_preferred(
    notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    path = notebook("from xailib import plots\nfrom xailib.plots import style\nstyle.empty('nothing')")
    papermill.execute_notebook(path, tmp_path / "hand.ipynb", progress_bar=False)
    assert '"image/png"' in (tmp_path / "hand.ipynb").read_text()


def test_one_key_with_two_values_is_refused(tmp_path: Path, repository: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((repository / "params/studies/smoke.yaml").read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(InputError, match=r"other\.yaml: seed: .*another value"):
        slicerun.merge([repository / "params/studies/smoke.yaml", other])


def test_every_slice_accepts_every_shipped_file(repository: Path) -> None:
    folder = repository / "params"
    for model in folder.glob("models/*.yaml"):
        values = slicerun.merge([folder / "studies/smoke.yaml", folder / "datasets/pictograms.yaml", model])
        slicerun.declared(
            repository / "notebooks/predict.ipynb", values, {"predictions_path", "accuracy_path", "record_path"}
        )
    for method in folder.glob("methods/*.yaml"):
        values = slicerun.merge([folder / "studies/smoke.yaml", method])
        given = slicerun.declared(repository / "notebooks/attribute.ipynb", values, {"maps_path"})
        assert given["method"] == method.stem


def test_a_full_disk_is_one_sentence(notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    path = notebook(WRITE)
    assert run.main([str(path), "/dev/full"]) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and "No space left on device" in said and "make room" in said


def start(notebook: Path, *words: str, folder: Path | None = None) -> subprocess.Popen[Any]:
    """Start a slice that announces the process of its cells in `pid` and then sleeps."""
    here = notebook.parent
    command = [sys.executable, "-m", "xailib.workflow.run", str(notebook), str(here / "log.ipynb"), "-o", "out_path"]
    # Standard error goes to a file: a pipe would stay open as long as anything lives on.
    # A test run in the background hands on that SIGINT is ignored; a slice at a terminal does not start like that.
    return subprocess.Popen(
        [*command, str(here / "o.txt"), *words],
        cwd=folder,
        stderr=open(here / "err", "w"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SLEEP = "import os, pathlib, time\npathlib.Path(out_path).write_text('half')\npathlib.Path(out_path + '.pid')" \
    ".write_text(str(os.getpid()))\ntime.sleep(60)"  # fmt: skip


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_slice_leaves_nothing_that_looks_finished(notebook: Callable[..., Path], number: int) -> None:
    path = notebook(SLEEP)
    process = start(path)
    mark = path.parent / "o.txt.pid"
    wait_for(lambda: mark.exists() and mark.read_text() != "")
    process.send_signal(number)
    assert process.wait(60) != 0
    assert not (path.parent / "o.txt").exists()
    wait_for(lambda: not alive(int(mark.read_text())))


def test_a_cell_that_takes_no_notice_is_ended(notebook: Callable[..., Path]) -> None:
    stubborn = "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass"
    path = notebook(SLEEP.replace("time.sleep(60)", stubborn))
    process = start(path)
    mark = path.parent / "o.txt.pid"
    wait_for(lambda: mark.exists() and mark.read_text() != "")
    process.terminate()
    assert process.wait(60) == 130
    assert not (path.parent / "o.txt").exists() and not alive(int(mark.read_text()))


def test_a_killed_process_is_one_sentence_and_leaves_nothing(
    notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path = notebook(WRITE, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    status, log, final, output = go(path)
    assert status == 1 and log.exists() and not final.exists() and not output.exists()
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"error: {path}: its process was killed (out of memory?); open {log}"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit('enough')", "failed in cell 3 with SystemExit: enough"),
        ("exit()", "the notebook called exit()"),
        ("input()", "with StdinNotImplementedError: raw_input was called, but this frontend does not support"),
        ("1 +", "failed in cell 3 with SyntaxError"),
    ],
)
def test_a_cell_that_ends_or_asks_fails(
    notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str], code: str, said: str
) -> None:
    status, _, final, output = go(notebook(WRITE, code, "open(out_path, 'w').write('went on')"))
    assert status == 1 and not final.exists() and not output.exists()
    assert said in capfd.readouterr().err


EVERYTHING = """
import sys, time, warnings
print("out"); print("err", file=sys.stderr); warnings.warn("beware")
#
import base64
from IPython.display import HTML, Image, Latex, Markdown, clear_output, display
display(HTML("<b>x</b>"), Markdown("*m*")); Latex("$x$")
#
Image(data=base64.b64decode(PNG), format="png")
#
print("gone"); clear_output(); print("stays"); handle = display("first", display_id="a")
#
handle.update("second")
#
import matplotlib.pyplot as plt
plt.plot([1, 2]);
#
figure, axes = plt.subplots(); plt.close(figure); figure
#
plt.get_fignums()
#
import pandas as pd
pd.DataFrame({"a": [1.5, 2], "b": ["x", None]})
#
import ipywidgets
from tqdm.auto import tqdm
inside = ipywidgets.Output()
with inside:
    print("inside")
display(ipywidgets.HBox([ipywidgets.IntSlider(3), inside, ipywidgets.Image(value=base64.b64decode(PNG))]))
for _ in tqdm(range(3), bar_format="{l_bar}{bar}{n_fmt}"): pass
#
inside.outputs
#
import asyncio
await asyncio.sleep(0.01); print("awaited")
#
import os
os.system("echo from the shell"); os.write(1, b"and below Python\\n"); time.sleep(1)
#
warnings.simplefilter("ignore")  # Python 3.12 warns of threads
if not os.fork(): print("a fork"); sys.stdout.flush(); os._exit(0)
os.wait(); time.sleep(1)
#
!echo bang
#
%matplotlib inline
type(get_ipython()).__name__, __name__, "" in sys.path, sys.stdout.isatty(), sys.modules["__main__"].x
#
open(out_path, "w").write(str(x))
#
def f(): raise ValueError("in the end")
f()
"""  # fmt: skip


def outputs(path: Path) -> list[str]:
    """What a notebook shows, without names that are drawn; text joined as Jupyter shows it."""
    found: list[Any] = []
    notebook = nbformat.read(path, as_version=4)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        joined: list[Any] = []
        for output in cell.outputs:
            if output.output_type == "stream" and joined and joined[-1].get("name") == output.name:
                joined[-1].text += output.text
            else:
                joined.append(output)
        found.append((cell.execution_count, joined))
    widgets = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    drawn = re.compile(r"ipykernel_\d+|(IPY_MODEL_|\b)[0-9a-f]{32}\b|0x[0-9a-f]+")
    shown = [*found, notebook.metadata.language_info, *sorted(drawn.sub("DRAWN", repr(widget)) for widget in widgets)]
    return [drawn.sub("DRAWN", str(one)) for one in shown]


def test_cells_show_what_a_jupyter_kernel_shows(
    notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Text, pictures, widgets, progress bars, values and tracebacks of papermill's own engine, which starts a kernel."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, kernels do not look at what is written below Python
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    path = notebook(*EVERYTHING.replace("PNG", repr(PNG)).split("#\n"))
    status, log, _, _ = go(path)
    assert status == 1
    # jupyter-client sends an Output widget's state past asyncio, which may then sleep through the reply of its cell; it
    # looks again when the time is up, so that this must not be endless.
    options = {"progress_bar": False, "execution_timeout": 60}
    with pytest.raises(PapermillExecutionError, match="in the end"):
        papermill.execute_notebook(path, tmp_path / "real.ipynb", {"out_path": str(tmp_path / "o.txt")}, **options)
    assert outputs(log) == outputs(tmp_path / "real.ipynb")


def test_a_slice_of_the_study_is_the_same_by_hand(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`papermill` by hand, with a real kernel, and a slice of Snakemake's: the same outputs and the same results."""
    monkeypatch.setenv("PYTHONPATH", str(repository))
    made = {}
    for name in ("slice", "hand"):
        given = {"limit": 2, "method": "gradient", "device": "cpu", "maps_path": str(tmp_path / "maps.npz")}
        given |= {"record_path": str(tmp_path / "attribute.json")}
        log = tmp_path / f"{name}.ipynb"
        if name == "hand":
            papermill.execute_notebook(repository / "notebooks/attribute.ipynb", log, given, progress_bar=False)
        else:
            words = [word for key, value in given.items() if key[-5:] != "_path" for word in ("-p", key, str(value))]
            words += [word for key, value in given.items() if key[-5:] == "_path" for word in ("-o", key, value)]
            assert run.main([str(repository / "notebooks/attribute.ipynb"), str(log), *words]) == 0
        shown = re.sub(
            r"\d+\.\d+ s in the network", "", repr([cell.get("outputs") for cell in nbformat.read(log, 4).cells])
        )
        assert "image/png" in shown
        made[name] = (shown, (tmp_path / "maps.npz").read_bytes())
        (tmp_path / "maps.npz").unlink()
    assert made["slice"] == made["hand"]


@pytest.mark.skipif(sys.platform != "linux", reason="the warm server is for Linux")
class TestWarm:
    """A slice that forks from a warm Python does the same as a cold one."""

    @pytest.fixture(autouse=True)
    def light(self, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server of this test's own, which loads only what the trivial notebooks need."""
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        monkeypatch.setenv("XAILIB_WARM", "papermill,ipykernel.ipkernel,numpy,torch")

    def test_same_results_and_the_callers_surroundings(
        self, notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("MARK", "of the caller")
        monkeypatch.chdir(tmp_path)
        path = notebook("import os\nopen(out_path, 'w').write(f\"{x} {os.environ['MARK']} {os.getcwd()}\");")
        status, log, final, output = go(path, "-p", "x", "3", "--warm")
        assert status == 0 and output.read_text() == f"3 of the caller {tmp_path}"
        assert final.read_text() == log.read_text()
        assert [file.name for file in Path(os.environ["TMPDIR"]).iterdir() if file.name.startswith("xai-")] == []

    def test_files_are_as_open_as_the_caller_wants(self, notebook: Callable[..., Path]) -> None:
        for mask in (0o022, 0o077):  # the first starts the server
            before = os.umask(mask)
            try:
                output = go(notebook(WRITE), "--warm")[3]
            finally:
                os.umask(before)
            assert output.stat().st_mode & 0o777 == 0o666 & ~mask

    def test_failures_come_back(self, notebook: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
        status, _, final, output = go(notebook(WRITE, "1 / 0"), "--warm")
        assert status == 1 and not final.exists() and not output.exists()
        assert "ZeroDivisionError" in capfd.readouterr().err.splitlines()[-1]
        status, *_ = go(notebook("from xailib.errors import InputError\nraise InputError('no')"), "--warm")
        assert status == 2 and capfd.readouterr().err.splitlines()[-1] == "error: no"

    def test_code_edits_count_at_once(
        self, notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path
    ) -> None:
        """A server is of one state of the code: another one is asked after an edit, and the first after none."""
        shutil.copytree(
            repository / "xailib", tmp_path / "copy" / "xailib", ignore=shutil.ignore_patterns("__pycache__")
        )
        (tmp_path / "copy" / "params").symlink_to(repository / "params")
        edited = tmp_path / "copy" / "xailib" / "errors.py"
        text = edited.read_text()
        path = notebook("import os, xailib.errors\nopen(out_path, 'w').write(f'{xailib.errors.MARK} {os.getppid()}')")
        monkeypatch.setenv("XAILIB_WARM", "papermill,ipykernel.ipkernel,numpy,torch,xailib.errors")
        servers = []
        for mark in ("one", "one", "another"):
            if f"MARK = {mark!r}" not in edited.read_text():
                edited.write_text(f"{text}\nMARK = {mark!r}\n")
            assert start(path, "--warm", folder=tmp_path / "copy").wait(120) == 0
            said, server = (tmp_path / "o.txt").read_text().split()
            assert said == mark
            servers.append(server)
        assert servers[0] == servers[1] != servers[2]

    def test_what_the_server_loads_survives_a_fork(self) -> None:
        """A GPU's context, threads and the backend of notebooks do not; and plug-ins are a workspace's."""
        code = (
            "import sys, threading, torch\n"
            "asked = []\n"
            "for name in ('is_available', 'device_count', '_lazy_init'):\n"
            "    setattr(torch.cuda, name, lambda *_, name=name: asked.append(name))\n"
            "from xailib.workflow import warm\n"
            "warm._load('')\n"
            "held = {'matplotlib_inline.backend_inline', 'xailib.plugins'} & set(sys.modules)\n"
            "loaded = {'xailib.attribution.rise', 'xailib.metrics.removal', 'xailib.roar.retrain'} <= set(sys.modules)\n"
            "print(asked, held, loaded, len(threading.enumerate()))"
        )
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        run = subprocess.run(
            [*warm.PYTHON[:-2], "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=200
        )
        assert run.stdout.splitlines()[-1] == "[] set() True 1"

    def test_chance_is_not_shared(self, notebook: Callable[..., Path]) -> None:
        """What is drawn without a seed differs between forks, as it does between processes."""
        path = notebook("import random, numpy\nopen(out_path, 'w').write(f'{numpy.random.rand()} {random.random()}')")
        drawn = [word for _ in range(2) for word in go(path, "--warm")[3].read_text().split()]
        assert len(set(drawn)) == 4

    @pytest.mark.parametrize("words", [[], ["--warm"]])
    @pytest.mark.parametrize("given", [None, "ACTIVE"])
    def test_waiting_threads_sleep(
        self, notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, words: list[str], given: str | None
    ) -> None:
        """Cold or warm, the process that loaded torch was started with the word that OpenMP reads while it is loaded."""
        monkeypatch.delenv("OMP_WAIT_POLICY") if given is None else monkeypatch.setenv("OMP_WAIT_POLICY", given)
        path = notebook("import torch\nopen(out_path, 'w').write(open('/proc/self/environ').read());")
        assert start(path, *words).wait(120) == 0
        assert f"OMP_WAIT_POLICY={given or 'PASSIVE'}" in (path.parent / "o.txt").read_text().split("\0")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
    def test_it_ends_with_its_asker(self, notebook: Callable[..., Path], number: int) -> None:
        path = notebook(SLEEP)
        process = start(path, "--warm")
        mark = path.parent / "o.txt.pid"
        wait_for(lambda: mark.exists() and mark.read_text() != "")
        process.send_signal(number)
        assert process.wait(60) != 0
        wait_for(lambda: not alive(int(mark.read_text())), 30)
        wait_for(lambda: not (path.parent / "o.txt").exists(), 30)

    def test_inside_slurm_and_when_told_it_starts_cold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        assert warm._connect() is None
        monkeypatch.delenv("SLURM_JOB_ID")
        monkeypatch.setenv("XAILIB_WARM", "0")
        assert warm._connect() is None

    def test_where_no_socket_can_be_no_server_is_started(
        self, short_tmp: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (short_tmp / ("x" * 90)).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(short_tmp / ("x" * 90)))
        monkeypatch.setattr(warm, "_start_server", lambda address: pytest.fail("it would load torch in vain"))
        assert warm._connect() is None

    def test_a_broken_server_is_no_obstacle(
        self, notebook: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(warm, "_connect", lambda: None)
        status, _, _, output = go(notebook(WRITE), "--warm")
        assert status == 0 and output.read_text() == "1"
