"""Holds one child process on a leash: when whoever started the leash is gone, so is the child.

    python -I leash.py GRACE_SECONDS COMMAND [ARGUMENT...]

Standard input is the leash: a pipe whose other end only the owner holds. It ends when the owner
closes it or dies, by whatever means, kill -9 included; the child's whole process group is then
asked to end, and made to after GRACE_SECONDS. Exit code: the child's, 128 + n for signal n.

Standard library only and no import of ours: it must start in a few hundredths of a second.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def _die_with_leash() -> None:
    """In the child, before exec: should the leash itself be killed, the kernel ends the child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # ended already


def hold(grace_seconds: float, command: list[str]) -> int:
    """Run the command until it ends or the leash is let go; returns the exit code."""
    # Ctrl-C goes to a terminal's whole group; who ends when is decided by the owner alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_leash,
        restore_signals=True,
    )

    def end(*_: object) -> None:
        _signal_group(child.pid, signal.SIGTERM)
        forced = threading.Timer(grace_seconds, _signal_group, (child.pid, signal.SIGKILL))
        forced.daemon = True
        forced.start()

    def wait_for_owner() -> None:
        while os.read(0, 4096):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=wait_for_owner, daemon=True).start()
    code = child.wait()
    _signal_group(child.pid, signal.SIGKILL)  # what the child left behind in its group
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(hold(float(sys.argv[1]), sys.argv[2:]))
