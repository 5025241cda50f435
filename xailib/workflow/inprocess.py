"""A papermill engine that runs a notebook's cells in this process: no kernel to start, no sockets, the same outputs.

The cells run in the shell that `ipykernel` gives its kernels, and what it sends goes straight to papermill's client, which
makes outputs of it. So text, figures, widgets and tracebacks are those that JupyterLab and plain `papermill` show. For a
process that ends with its notebook: standard streams, `input` and `__main__` are the notebook's from the first cell on.
"""

import builtins
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import papermill
from ipykernel.inprocess.socket import DummySocket
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.session import Session
from nbclient.exceptions import CellExecutionError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.iorw import write_ipynb
from traitlets.config import Config

Message = dict[str, Any]


def execute(notebook: str, log: str, values: dict[str, Any]) -> None:
    """Execute `notebook` with these parameters into `log`, which is kept when a cell fails.

    Raises:
        PapermillExecutionError: a cell failed; `ename`, `evalue` and `traceback` say how.
        DeadKernelError: a cell called `exit()`.
    """
    papermill_engines.register("inprocess", InProcess)
    papermill.execute_notebook(
        notebook, log, values, engine_name="inprocess", kernel_name="python3", progress_bar=False
    )


class InProcess(Engine):
    """papermill's interface to what runs the cells."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **_: Any) -> None:
        """Run all cells; `nb_man` keeps the notebook, and saves it as it grows."""
        Client(nb_man).execute()


class Client(PapermillNotebookClient):
    """papermill's client of a kernel, with the kernel in this process."""

    def execute(self, **_: Any) -> Any:
        """Run the cells until one fails, and return the notebook."""
        self.process = os.getpid()
        self.lock = threading.RLock()  # text comes from a thread of its own
        self.late: list[Message] = []
        with _kernel(self.receive) as self.kernel:
            # For widgets that capture output: what a frontend tells them waits until the cell has ended.
            self.kc = SimpleNamespace(session=self.kernel.session, shell_channel=SimpleNamespace(send=self.late.append))
            with _saved_seldom(self.nb_man):
                self.papermill_execute_cells()
        self.nb.metadata["language_info"] = self.kernel.language_info
        self.set_widgets_metadata()
        return self.nb

    def execute_cell(self, cell: Any, cell_index: int, **_: Any) -> Any:
        """Run one cell, as the base class does; raise `CellExecutionError` when it fails."""
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        self.cell, self.cell_index, self.clear_before_next_output, cell.outputs = cell, cell_index, False, []
        write_ipynb(self.nb, self.nb_man.output_path)  # a killed process leaves what it was at
        self.kernel.set_parent([], self.kernel.session.msg("execute_request"))
        result = self.kernel.shell.run_cell(cell.source, store_history=True)
        sys.stdout.flush()
        sys.stderr.flush()
        cell.execution_count = result.execution_count
        while self.late:
            self.kernel.comm_manager.comm_msg(None, [], {"buffers": [], **self.late.pop(0)})
        error = result.error_before_exec or result.error_in_exec
        if error or any(output.output_type == "error" for output in cell.outputs):
            raise CellExecutionError("", type(error).__name__, str(error))
        if self.kernel.shell.exit_now:
            raise DeadKernelError("the notebook called exit()")
        return cell

    def receive(self, message: Message) -> None:
        """Make an output of what the kernel sends; text joins the text before it."""
        if os.getpid() != self.process:  # a fork that the notebook started: its text joins that of other programs
            if message["msg_type"] == "stream":
                os.write({"stdout": 1, "stderr": 2}[message["content"]["name"]], message["content"]["text"].encode())
            return
        with self.lock:
            self.process_message(message, self.cell, self.cell_index)
            texts = [output for output in self.cell.outputs[-2:] if output.output_type == "stream"]
            if len(texts) == 2 and texts[0].name == texts[1].name:
                texts[0].text += self.cell.outputs.pop().text


@contextlib.contextmanager
def _saved_seldom(nb_man: Any) -> Iterator[None]:
    """Save the notebook as often as papermill saves a long cell's, not before and after each: a tenth of a short slice."""
    save = nb_man.save

    def seldom(**_: Any) -> None:
        if (nb_man.now() - nb_man.last_save_time).total_seconds() >= nb_man.autosave_cell_every:
            save()

    nb_man.save = seldom
    try:
        yield
    finally:
        nb_man.save = save


class _Session(Session):
    """Hands each message over at once, as if it had come through a socket."""

    def __init__(self, receive: Callable[[Message], None]) -> None:
        super().__init__(key=b"")  # nothing to sign
        self.receive = receive

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, parent: Any = None, **more: Any) -> Message:
        """Make JSON of the message and read it again, which turns pictures into text."""
        message = msg_or_type
        if not isinstance(message, dict):
            message = self.msg(msg_or_type, content, parent, metadata=more.get("metadata"))
        self.receive(self.deserialize([*self.serialize(message)[1:], *(more.get("buffers") or [])]))
        return message


@contextlib.contextmanager
def _kernel(receive: Callable[[Message], None]) -> Iterator[IPythonKernel]:
    """An IPython kernel that sends all messages to `receive`; within the block, standard output and error are among them."""
    session = _Session(receive)
    thread = IOPubThread(DummySocket())
    thread.start()
    kernel = IPythonKernel.instance(
        session=session, user_ns=None, config=Config({"HistoryManager": {"enabled": False}, "IPKernelApp": {}})
    )
    # A kernel's own loop for windows, which `%matplotlib inline` asks for too, and has no use of.
    kernel.shell.enable_gui = lambda gui=None: None
    builtins.input = kernel.raw_input  # which says that nobody is there to answer
    first = next((i for i, entry in enumerate(sys.path) if entry.endswith("-packages")), len(sys.path))
    sys.path.insert(first, "")  # the folder it runs in, which comes after the standard library in a kernel
    out, err = (OutStream(session, thread, name) for name in ("stdout", "stderr"))
    with out, err, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield kernel
