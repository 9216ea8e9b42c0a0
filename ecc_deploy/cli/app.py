"""The entry point ``ecc-deploy``: the verbs, and how mistakes are told."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ecc_deploy.cli import (
    bench,
    compare,
    compiling,
    data,
    debug,
    doctor,
    evaluate,
    export,
    links,
    plan,
    quickstart,
    report,
    results,
    run,
    serve,
    sign,
    targets,
    terminal,
    train,
)
from ecc_deploy.errors import EccError

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130

# Without rich's markup the help is drawn by Typer itself, which spares importing rich.
app = typer.Typer(
    name="ecc-deploy",
    help="Cut, compile, serve and measure edge-cloud model pairs. Start with `ecc-deploy quickstart`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (
    quickstart.quickstart,
    doctor.doctor,
    train.train,
    evaluate.evaluate,
    plan.plan,
    export.export,
    debug.debug,
    serve.serve,
    sign.sign,
    bench.bench,
    compare.compare,
    run.run,
    report.report,
):
    app.command()(verb)
app.command("compile")(compiling.compile_)
app.add_typer(targets.app, name="targets")
app.add_typer(links.app, name="links")
app.add_typer(data.app, name="data")
app.add_typer(results.app, name="results")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        import ecc_deploy

        typer.echo(f"ecc-deploy {ecc_deploy.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Options of all verbs; the help text is that of the app."""


def main() -> None:
    """Run the command line and end the process.

    Exit codes: 0; 2 for a mistake in what was given (an :class:`EccError`, or a file that the system refuses); 130
    after Ctrl-C. Anything else that is raised is a bug, and shows its traceback.
    """
    try:
        app(prog_name="ecc-deploy")
    except EccError as error:
        terminal.show_error(error)
        sys.exit(EXIT_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        _forget_stdout()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        terminal.show_error(EccError(f"{error.filename}: {error.strerror}"))
        sys.exit(EXIT_MISTAKE)


def _forget_stdout() -> None:
    """The reader of the pipe has gone: without this, Python would complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
