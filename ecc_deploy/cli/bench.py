"""``ecc-deploy bench``"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ecc_deploy.cli import checks, credentials, terminal, trust
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import UsageError


def bench(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle to measure.")],
    cloud: Annotated[
        str | None,
        typer.Option("--cloud", metavar="HOST:PORT", help="Running server. Default: one is started on this machine."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="How many samples of the test part. Default: all.")
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option("--arch", metavar="NAME", help="Measure only this: dynamic, cloud-only/webp:80, ... Repeatable."),
    ] = None,
    image_codec: Annotated[
        list[str] | None,
        typer.Option("--image-codec", metavar="CODEC", help="Codec of cloud-only: png, webp:80, ... Repeatable."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Dataset instead of the bundle's: a name, or package.module:factory.",
        ),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Folder of the dataset. Default: the dataset's own place."),
    ] = None,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Samples per arm that do not count.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Choice and order of the samples.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="CPU threads of one inference.")] = 1,
    deadline_ms: Annotated[
        float, typer.Option("--deadline", min=1, help="Milliseconds after which the edge answers itself.")
    ] = 1000.0,
    tls_ca: credentials.TlsCa = None,
    tls_cert: credentials.TlsCert = None,
    tls_key: credentials.TlsKey = None,
    token_file: credentials.TokenFile = None,
    link: Annotated[
        list[str] | None,
        typer.Option(
            "--link",
            metavar="LINK",
            help="Emulated link: lte, my.toml, rate=10mbit,delay=20ms; as-is for none. Repeatable.",
        ),
    ] = None,
    link_method: Annotated[
        str,
        typer.Option("--link-method", help="auto, netem, tun or proxy."),
    ] = "auto",
    cold: Annotated[int, typer.Option("--cold", min=0, metavar="N", help="Cold starts per arm.")] = 0,
    idle: Annotated[
        str,
        typer.Option("--idle", metavar="S,S,...", help="First offload after these gaps, seconds: 0.1,1,5."),
    ] = "",
    energy: Annotated[
        float,
        typer.Option("--energy", min=0, help="Seconds per arm that an energy sensor is read."),
    ] = 0.0,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            "--scenario", metavar="NAME", help="Under MLPerf LoadGen: single-stream, fixed-rate, offline. Repeatable."
        ),
    ] = None,
    scenario_seconds: Annotated[
        float,
        typer.Option("--scenario-seconds", min=0.1, help="Least seconds of a scenario."),
    ] = 10.0,
    qps: Annotated[
        float | None,
        typer.Option("--qps", help="Queries per second of fixed-rate."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option("--workers", min=1, help="Threads that answer a scenario's queries."),
    ] = 4,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="MINUTES", help="End the main series early."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="FOLDER", help="Also add the results to this store; see `results`."),
    ] = None,
    verify_key: trust.VerifyKey = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="USER@HOST",
            help="Measure on this machine, by ssh: user@host[:port], or a name of ~/.ssh/config.",
        ),
    ] = None,
    serve_at: Annotated[
        str | None,
        typer.Option(
            "--serve-at",
            metavar="ADDRESS",
            help="With --device: address of this machine that it reaches directly. Default: an ssh tunnel.",
        ),
    ] = None,
    device_python: Annotated[
        str | None,
        typer.Option("--device-python", metavar="PATH", help="With --device: its Python. Default: found there."),
    ] = None,
    device_install: Annotated[
        Path | None,
        typer.Option(
            "--device-install", metavar="WHEEL", help="With --device: install this wheel of ecc-deploy there first."
        ),
    ] = None,
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", metavar="FILE", help="With --device: instead of ~/.ssh/config.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the results.")] = Path("bench.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of a table.")] = False,
) -> None:
    """Measure accuracy, latency and bytes of a bundle.

    Every architecture answers the same real samples. The golden samples of the bundle are checked first, on both sides.
    """
    trust.only(verify_key)
    checks.output_file(out)
    of_devices = {
        "--serve-at": serve_at,
        "--device-python": device_python,
        "--device-install": device_install,
        "--ssh-config": ssh_config,
    }
    checks.only_with("--device", device, of_devices)
    shown = credentials.read(tls_ca, tls_cert, tls_key, token_file)
    if device is not None and shown is not None:
        raise UsageError("a device is not given certificates and tokens", "Leave --tls-... and --token-file out.")
    if device is not None and link:
        raise UsageError(
            "--link is given with --device, and the link to a device is the real one",
            "Leave --link out, or measure here with it.",
        )
    if store is not None:
        checks.output_folder(store, "--store")
    import ecc_deploy as ecc
    from ecc_deploy.bench.lanes import link_method as known_method
    from ecc_deploy.bench.series import Series, gaps, scenario_names

    series = Series(
        cold=cold,
        idle_s=gaps(idle),
        energy_s=energy,
        scenarios=scenario_names(scenario or ()),
        scenario_s=scenario_seconds,
        target_qps=qps,
        workers=workers,
    )

    options: dict[str, Any] = {
        "samples": samples,
        "arms": arch or None,
        "image_codecs": image_codec or None,
        "dataset": dataset,
        "data_folder": data_folder,
        "warmup": warmup,
        "seed": seed,
        "threads": threads,
        "deadline_ms": deadline_ms,
        "budget_minutes": budget,
    }

    with shown_progress() as progress:
        opened = ecc.open_bundle(bundle)
        if device is None:
            result = ecc.run_bench(
                opened,
                cloud=cloud,
                credentials=shown,
                **options,
                links=link or (),
                link_method=known_method(link_method),
                series=series,
                progress=progress,
            )
        else:
            there = ecc.Device(device, device_python, ssh_config, device_install)
            result = ecc.bench_on_device(
                opened,
                there,
                cloud=cloud,
                serve_at=serve_at,
                **options,
                series=asdict(series),
                progress=progress,
                note=terminal.note,
            )
    ecc.save_bench(result, out)
    if store is not None:
        from ecc_deploy.bench.store import add

        terminal.note(f"Added to the store: {add(result, store)}")
    for warning in result.warnings:
        terminal.note(f"Note: {warning}")
    if as_json:
        terminal.show_json(result.model_dump(mode="json"))
        return
    from ecc_deploy.cli.bench_tables import tables

    terminal.show(*tables(result), f"Results: {out}. Next: ecc-deploy report {out} --out report.html")
