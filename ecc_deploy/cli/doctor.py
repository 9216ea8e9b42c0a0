"""``ecc-deploy doctor``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import checks, terminal

if TYPE_CHECKING:
    from ecc_deploy.doctor import Ability, Diagnosis


def doctor(
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="USER@HOST", help="Ask this machine, by ssh. Default: this one."),
    ] = None,
    device_python: Annotated[
        str | None,
        typer.Option("--device-python", metavar="PATH", help="With --device: its Python. Default: found there."),
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", metavar="FILE", help="With --device: instead of ~/.ssh/config.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say what can be compiled and run here, or on another machine.

    Also what is installed, and the exact command that installs what is missing.
    """
    import ecc_deploy as ecc

    checks.only_with("--device", device, {"--device-python": device_python, "--ssh-config": ssh_config})
    there = None if device is None else ecc.Device(device, device_python, ssh_config)
    diagnosis = ecc.diagnose() if there is None else ecc.diagnose_device(there)
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
    terminal.show(packages, "")
    _show_targets(diagnosis)
    for extra in diagnosis.extras:
        if extra.install and not any(extra.install in (t.run.install, t.compile.install) for t in diagnosis.targets):
            terminal.show(f"For the extra {extra.name}: {extra.install}")


def _show_targets(diagnosis: Diagnosis) -> None:
    """Per target what can be done here, and below, once each, the commands that enable more."""
    from rich.table import Table

    table = Table("Target", "Title", "Compile here", "Run here", title="Targets", title_justify="left")
    for target in diagnosis.targets:
        table.add_row(target.name, target.title, _word(target.compile), _word(target.run))
    terminal.show(table)
    if diagnosis.is_base_only:
        terminal.show("Only the base dependencies are here: no bundle can be run or compiled until a runtime is added.")
    wanted: dict[str, list[str]] = {}
    for target in diagnosis.targets:
        for verb, ability in (("run", target.run), ("compile for", target.compile)):
            if ability.install:
                wanted.setdefault(f"{ability.install}  # {verb}", []).append(target.name)
    if not wanted:
        terminal.show("Nothing that can be installed is missing.")
        return
    terminal.show("To do more:")
    for command, names in wanted.items():
        terminal.show(f"  {command} {', '.join(names)}")
    for hint in dict.fromkeys(target.run.hint for target in diagnosis.targets if target.run.install):
        if hint:
            terminal.show(f"  {hint}")


def _word(ability: Ability) -> str:
    if ability.possible:
        return "yes"
    return "no" if ability.install else f"no: {ability.hint}"
