"""How the command line ends: every error is one line on stderr and exit code 1."""

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
from fleet_q.services.cli import env_file
from fleet_q.services.cli import options as cli_options
from fleet_q.services.cli.signals import Ended
from fleet_q.services.cli.submit import BrokenOff
from fleet_q.services.worker import logs
from fleet_q.services.worker.escapes import one_line, printable

INTERRUPTED: Final = 128 + signal.SIGINT
"""The exit code of a command that Ctrl-C ended; also what Typer makes of one."""

_STDOUT: Final = 1
_STDERR: Final = 2

_PODS: Final = {"worker", "serve"}
"""The commands that print nothing on stdout."""

# Typer ships Click under a private name or depends on it, by its version; its base class is there
# in both, behind the one that is public.
_USAGE_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def run(cli: typer.Typer) -> NoReturn:
    """Run the command that ``sys.argv`` names, and exit."""
    _make_streams_fit()
    try:
        env_file.load(Path(".env"))
        code = cli(standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (Ended, BrokenOff) as end:
        _complain(str(end), end.code)
    except BrokenPipeError:
        _give_stdout_up()  # whoever read our output has gone, and so may we
        sys.exit(1)
    except InvalidInput as error:
        _complain(env_file.located(str(error)))
    except (FleetQError, OSError) as error:  # TimeoutError is one of these
        _complain(str(error))
    except Exception as error:
        if not isinstance(error, _USAGE_ERROR):
            _complain(f"{type(error).__name__}: {error} (-v shows where)")
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(f"{error}\n")
            sys.exit(0)
        _complain(f"{error.format_message()} (--help tells more)")
    if code == INTERRUPTED:
        _complain("interrupted", code)
    sys.exit(code)


def _make_streams_fit() -> None:
    """What a stream's encoding has not is shown escaped. Streams that are closed go nowhere, or
    the next file that is opened would take their place. Without a stdout only pods run, since what
    another command did could not be told."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115
        command = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
        if command not in _PODS:
            _complain("stdout is closed; send it to /dev/null if nobody is to read it")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(message: str, code: int = 1) -> NoReturn:
    line = f"fleet-q: {one_line(' '.join(message.split()))}"
    if cli_options.verbose and sys.exception() is not None:
        line = f"{printable(traceback.format_exc())}{line}"
    logs.flush()
    logs.tell(line)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _give_stdout_up()
    sys.exit(code)


def _give_stdout_up() -> None:
    """Let what could not be written go nowhere, or Python tries again on exit and complains."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
