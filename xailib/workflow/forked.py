"""What the forks of the warm server do: one becomes the slice, one its kernel. See `xailib.workflow.warm`."""

import array
import atexit
import contextlib
import importlib.metadata
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any


def run_slice(connection: socket.socket) -> int:
    """Run one slice in this fork, its kernel in a second one; both end when the asker goes away."""
    head, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * 4))
    for _, _, data in ancillary:
        for target, source in enumerate(array.array("i", data)):
            os.dup2(source, target)
            os.close(source)
    length, body = int.from_bytes(head, "big"), b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    request = json.loads(body)
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    # Forked before papermill starts an event loop and sockets, which a fork must not share.
    ForkedKernel.waiting = ForkedKernel(connection)
    from jupyter_client.provisioning import KernelProvisionerFactory

    provisioners = KernelProvisionerFactory.instance()
    provisioners.provisioners["forked"] = importlib.metadata.EntryPoint(
        "forked", "xailib.workflow.forked:provisioner", ""
    )
    provisioners.default_provisioner_name = "forked"
    threading.Thread(target=_end_with_asker, args=(connection,), daemon=True).start()
    from xailib.workflow import slices as slicerun

    status = slicerun.command(request["words"])
    atexit._run_exitfuncs()
    return status


def _end_with_asker(connection: socket.socket) -> None:
    """Interrupt the slice when the asker hangs up; end it for good ten seconds later."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    if ForkedKernel.waiting is not None:
        ForkedKernel.waiting.kill()
    os._exit(1)


class ForkedKernel:
    """A process that waits to become a kernel; to jupyter_client it looks like a `subprocess.Popen`."""

    waiting: "ForkedKernel | None" = None
    stdin = stdout = stderr = None

    def __init__(self, connection: socket.socket) -> None:
        parent = os.getpid()
        reader, writer = os.pipe()
        self.returncode: int | None = None
        self.launched = False
        self.pid = os.fork()
        if self.pid == 0:
            os.close(writer)
            connection.close()
            os.setsid()
            _become_kernel(reader, parent)
        os.close(reader)
        self._writer = writer

    def launch(self, words: list[str], environment: dict[str, str], folder: str) -> None:
        """Let the process become a kernel with this command line, environment and folder."""
        self.launched = True
        with os.fdopen(self._writer, "w") as file:
            json.dump({"words": words, "env": environment, "cwd": folder}, file)

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        while self.poll() is None:
            time.sleep(0.01)
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def _become_kernel(reader: int, parent: int) -> None:
    """In the second fork: wait for the word, then be an IPython kernel until it is shut down."""
    try:
        with os.fdopen(reader) as file:
            text = file.read()
        if not text:
            os._exit(0)  # the slice ended before it wanted a kernel
        request = json.loads(text)
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        words = [*request["words"], f"--IPKernelApp.parent_handle={parent}"]  # a kernel ends with its slice
        sys.argv = ["ipykernel_launcher", *words]
        for name in [name for name in sys.modules if name == "xailib" or name.startswith("xailib.")]:
            del sys.modules[name]  # a kernel begins without it, as a cold one does
        import torch
        from ipykernel.kernelapp import IPKernelApp

        if os.environ.get("OMP_NUM_THREADS", "").isdigit():
            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        IPKernelApp.launch_instance(argv=words)
    finally:
        os._exit(0)


def __getattr__(name: str) -> Any:
    if name != "provisioner":
        raise AttributeError(name)
    from jupyter_client.provisioning import LocalProvisioner

    class ForkedProvisioner(LocalProvisioner):
        """Hands the kernel's command line to the process that waits for it."""

        async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
            kernel = ForkedKernel.waiting
            if kernel is None or kernel.launched:
                return await super().launch_kernel(cmd, **options)
            words = cmd[cmd.index("ipykernel_launcher") + 1 :]
            kernel.launch(words, dict(options.get("env") or os.environ), str(options.get("cwd") or os.getcwd()))
            self.process, self.pid, self.pgid, self.cwd = kernel, kernel.pid, kernel.pid, options.get("cwd")
            return self.connection_info

    return ForkedProvisioner
