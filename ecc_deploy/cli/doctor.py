"""``ecc-deploy doctor``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import terminal

if TYPE_CHECKING:
    from ecc_deploy.doctor import Diagnosis


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what can be compiled and run on this machine.

    Also what is installed, and the exact command that installs what is missing.
    """
    import ecc_deploy as ecc

    diagnosis = ecc.diagnose()
    if as_json:
        terminal.show_json(diagnosis.to_json())
    else:
        _show(diagnosis)


def _show(diagnosis: Diagnosis) -> None:
    from rich.table import Table

    machine = diagnosis.environment
    memory = f"{machine['memory_mib']:,} MiB" if machine["memory_mib"] else "unknown memory"
    terminal.show(
        f"ecc-deploy {diagnosis.version} on {machine['python']}, {machine['os']}",
        f"CPU: {machine['cpu']}, {machine['architecture']}, {machine['cores_usable']} usable cores, {memory}",
        f"CPU features for 8-bit and reduced precision: {' '.join(machine['cpu_flags']) or 'none known'}",
        "",
    )
    packages = Table("Needed for", "Package", "Version", title="Packages", title_justify="left")
    for group, listed in (("base", diagnosis.base), *((extra.name, extra.packages) for extra in diagnosis.extras)):
        for number, package in enumerate(listed):
            packages.add_row(group if number == 0 else "", package.name, package.version or "not installed")
    targets = Table("Target", "Title", "Compile here", "Run here", title="Targets", title_justify="left")
    for target in diagnosis.targets:
        targets.add_row(target.name, target.title, terminal.yes_no(target.can_compile), terminal.yes_no(target.can_run))
    terminal.show(packages, "", targets)
    _show_commands(diagnosis)


def _show_commands(diagnosis: Diagnosis) -> None:
    wanted = {extra.install: f"the extra {extra.name!r}" for extra in diagnosis.extras if extra.install}
    for target in diagnosis.targets:
        if target.install_to_run:
            wanted[target.install_to_run] = f"to run {target.name}"
        if target.install_to_compile:
            wanted[target.install_to_compile] = f"to train, and to compile for {target.name}"
    terminal.show("")
    if diagnosis.is_base_only:
        terminal.show("Only the base dependencies are here: no bundle can be run or compiled until a runtime is added.")
    if not wanted:
        terminal.show("Nothing is missing.")
        return
    terminal.show("What is missing is installed by:")
    terminal.show(*(f"  {command:<48} # {purpose}" for command, purpose in wanted.items()))
