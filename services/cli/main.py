"""Runs the command line: turns every error into one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.services.app.acting import acting_as
from fleet_q.services.cli import completion, env_file
from fleet_q.services.cli import options as cli_options
from fleet_q.services.cli.signals import Ended
from fleet_q.services.cli.submit import PartlySubmitted
from fleet_q.services.worker import logs
from fleet_q.services.worker.escapes import one_line, printable

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit code after Ctrl-C; Typer returns the same."""

_STDOUT: Final = 1
_STDERR: Final = 2

_PODS: Final = {"worker", "serve", "dashboard"}
"""The commands that write nothing to stdout."""

# Some versions of Typer depend on Click, others contain a private copy; the base class of Click's
# errors is found through Typer's public subclass in both.
_USAGE_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def run(cli: typer.Typer) -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit."""
    _prepare_streams()
    completion.join_words(os.environ)
    words = sys.argv[1:]
    if "--version" in words[: words.index("--") if "--" in words else None]:
        sys.argv[1:] = ["--version"]  # also after a command
    try:
        env_file.load(Path(".env"))
        with acting_as(None):
            code = cli(standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (Ended, PartlySubmitted) as end:
        _fail(str(end), end.code)
    except BrokenPipeError:
        _discard_stdout()  # the reader of the pipe has exited
        sys.exit(1)
    except InvalidInput as error:
        _fail(env_file.located(str(error)))
    except (FleetQError, OSError) as error:  # includes TimeoutError
        _fail(str(error))
    except Exception as error:
        if not isinstance(error, _USAGE_ERROR):
            _fail(f"{type(error).__name__}: {error} (-v prints the traceback)")
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(f"{error}\n")
            sys.exit(0)
        _fail(f"{error.format_message()} (see --help)")
    if code == INTERRUPTED:
        _fail("interrupted", code)
    sys.exit(code)


def _prepare_streams() -> None:
    """Replace closed streams, and escape characters that a stream's encoding lacks.

    A closed descriptor 0, 1 or 2 is opened on the null device, else the next opened file would get
    its number. With stdout closed only pods run: another command could not report what it did.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115
        command = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
        if command not in _PODS:
            _fail("stdout is closed; redirect it to /dev/null to discard the output")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, code: int = 1) -> NoReturn:
    line = f"fleet-q: {one_line(' '.join(message.split()))}"
    if cli_options.verbose and sys.exception() is not None:
        line = f"{printable(traceback.format_exc())}{line}"
    logs.flush()
    logs.tell(line)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _discard_stdout()
    sys.exit(code)


def _discard_stdout() -> None:
    """Redirect stdout to the null device, else Python flushes it again at exit and fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
