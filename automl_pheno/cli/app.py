"""The command ``automl-pheno``: its verbs, and what becomes of an error."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from automl_pheno.cli.audit import audit
from automl_pheno.cli.check import check
from automl_pheno.cli.copy import copy, import_trials
from automl_pheno.cli.dashboard import dashboard
from automl_pheno.cli.explain import explain
from automl_pheno.cli.leaderboard import leaderboard
from automl_pheno.cli.predict import predict
from automl_pheno.cli.replay import replay
from automl_pheno.cli.report import report
from automl_pheno.cli.search import search
from automl_pheno.cli.simulate import simulate
from automl_pheno.cli.split import split
from automl_pheno.cli.tables import EXIT_INTERRUPTED
from automl_pheno.errors import AutoMLPhenoError
from automl_pheno.keras_settings import own_environment
from automl_pheno.study.storage.address import redact

EXIT_UNEXPECTED = 1
EXIT_BAD_INPUT = 2

# What the machine refuses, as opposed to a fault of this program.
_REFUSALS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR,
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG, errno.EADDRINUSE, errno.EMFILE,
}  # fmt: skip

app = typer.Typer(
    name="automl-pheno",
    help="Find, train, compare and explain the model that best predicts a quantitative phenotype.",
    epilog="Start with: automl-pheno search --space search_spaces/cnn.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (search, check, split, audit, leaderboard, explain, predict, report, simulate, dashboard, replay, copy):
    app.command()(_verb)
app.command("import")(import_trials)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"automl-pheno {version('automl-pheno')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0 done, 1 unexpected, 2 bad input, 3 leaks found, 4 a trial trained again was not the same, 130 interrupted.

    Parameters
    ----------
    arguments
        Words after the command's name; None takes those of this process.
    """
    # Inherited by the workers: TensorFlow's start-up chatter, and no settings of Keras but ours.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.update(own_environment())
    command = typer.main.get_command(app)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = command.main(args=words, prog_name="automl-pheno", standalone_mode=False)
        sys.stdout.flush()
    except AutoMLPhenoError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has enough; keep the interpreter from complaining when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:  # typer's own handling of a closed pipe
        return 0 if isinstance(stop.__context__, BrokenPipeError) else int(stop.code or 0)
    except OSError as error:
        return _refuse(_refusal(error)) if error.errno in _REFUSALS else _unexpected(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a log file and a message instead of a traceback
        return _usage(error) if hasattr(error, "format_message") else _unexpected(error)
    return result if isinstance(result, int) else 0


def _refuse(message: str) -> int:
    print("error: " + message.replace("\n", "\n       "), file=sys.stderr)
    return EXIT_BAD_INPUT


def _refusal(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return f"{' -> '.join(names) or 'file system'}: {(error.strerror or str(error)).lower()}"


def _usage(error: Any) -> int:
    """Print what typer says of a malformed command: one line, then where help is."""
    message = " ".join(str(error.format_message()).split())
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" or not message:
        print(context.get_help() if context else message)
        return EXIT_BAD_INPUT
    help_line = f" (see {context.command_path} --help)" if context else ""
    return _refuse(message[:1].lower() + message[1:].rstrip(".") + _value_got(error) + help_line)


def _value_got(error: Any) -> str:
    """Return the offending value where typer's message, which may be pydantic's, leaves it out."""
    cause = error.__cause__ or error.__context__
    problems = cause.errors() if hasattr(cause, "errors") else []
    return f", got {problems[0]['input']!r}" if problems else ""


def _unexpected(error: Exception) -> int:
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="automl-pheno-", suffix=".log", delete=False) as log:
            log.write(f"automl-pheno {redact(' '.join(sys.argv[1:]))}\n{redact(text)}")
        where = f"the traceback is in {log.name}"
    except OSError:
        where = f"the traceback follows\n{text}"
    print(f"error: unexpected {type(error).__name__}: {error}; please report it; {where}", file=sys.stderr)
    return EXIT_UNEXPECTED
