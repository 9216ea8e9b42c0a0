"""ecc-deploy: cut, compile, serve and measure edge-cloud model pairs.

    import ecc_deploy as ecc

    run = ecc.train(ecc.load_recipe("recipe.toml"), "runs/mine")
    bundle = ecc.export_bundle(run.path, "bundles/mine", target="onnxruntime-cpu")
    result = ecc.run_bench(bundle)
    ecc.write_report([result], "report.html")

Names are imported when they are first used, so this import costs nothing and needs no torch. A name whose toolchain
is not installed raises :class:`~ecc_deploy.errors.BackendMissingError` with the command that installs it. What is
not listed in ``__all__`` may change between versions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecc_deploy.backends.targets import Target as Target
    from ecc_deploy.backends.targets import list_targets as list_targets
    from ecc_deploy.backends.targets import load_target as load_target
    from ecc_deploy.bench.run import bench as run_bench
    from ecc_deploy.bench.schema import Bench as Bench
    from ecc_deploy.bench.schema import load_bench as load_bench
    from ecc_deploy.bench.schema import save_bench as save_bench
    from ecc_deploy.bench.series import Series as BenchSeries
    from ecc_deploy.bundle.signing import new_key as new_signing_key
    from ecc_deploy.bundle.signing import sign_bundle as sign_bundle
    from ecc_deploy.bundle.store import Bundle as Bundle
    from ecc_deploy.bundle.store import open_bundle as open_bundle
    from ecc_deploy.comparison.compare import compare_bundles as compare_bundles
    from ecc_deploy.comparison.result import Comparison as Comparison
    from ecc_deploy.data.fetch import fetch_dataset as fetch_dataset
    from ecc_deploy.data.interface import Normalisation as Normalisation
    from ecc_deploy.data.interface import Samples as Samples
    from ecc_deploy.data.registry import list_datasets as list_datasets
    from ecc_deploy.data.registry import load as load_dataset
    from ecc_deploy.devices.bench import Device as Device
    from ecc_deploy.devices.bench import bench_on_device as bench_on_device
    from ecc_deploy.devices.bench import diagnose_device as diagnose_device
    from ecc_deploy.doctor import Diagnosis as Diagnosis
    from ecc_deploy.doctor import diagnose as diagnose
    from ecc_deploy.errors import EccError as EccError
    from ecc_deploy.evaluation.evaluate import Evaluation as Evaluation
    from ecc_deploy.evaluation.evaluate import evaluate as evaluate
    from ecc_deploy.evaluation.seeds import Seeds as Seeds
    from ecc_deploy.evaluation.seeds import over_seeds as over_seeds
    from ecc_deploy.export.all_targets import TargetExport as TargetExport
    from ecc_deploy.export.all_targets import export_all as export_all
    from ecc_deploy.export.exporter import export as export_bundle
    from ecc_deploy.links.link import Link as Link
    from ecc_deploy.links.opening import open_link as open_link
    from ecc_deploy.links.profile import LinkProfile as LinkProfile
    from ecc_deploy.links.profile import list_links as list_links
    from ecc_deploy.links.profile import load_link as load_link
    from ecc_deploy.partition.plan import Plan as Plan
    from ecc_deploy.partition.plan import plan as plan
    from ecc_deploy.quickstart import QuickstartResult as QuickstartResult
    from ecc_deploy.quickstart import quickstart as run_quickstart
    from ecc_deploy.report.evaluations import write_curves as write_curves
    from ecc_deploy.report.html import write_report as write_report
    from ecc_deploy.runtime.breaker import Breaker as Breaker
    from ecc_deploy.runtime.choice import Policy as Policy
    from ecc_deploy.runtime.client import CloudClient as CloudClient
    from ecc_deploy.runtime.credentials import Credentials as Credentials
    from ecc_deploy.runtime.credentials import load_credentials as load_credentials
    from ecc_deploy.runtime.engine import EdgeRuntime as EdgeRuntime
    from ecc_deploy.runtime.hedge import Hedge as Hedge
    from ecc_deploy.runtime.on_device import Engine as Engine
    from ecc_deploy.runtime.on_device import compile_bundle as compile_bundle
    from ecc_deploy.runtime.pipeline import Pipeline as Pipeline
    from ecc_deploy.runtime.predict import Answer as Answer
    from ecc_deploy.runtime.predict import predict as predict
    from ecc_deploy.runtime.result import Prediction as Prediction
    from ecc_deploy.scaling.export import ServingExport as ServingExport
    from ecc_deploy.scaling.export import export_serving as export_serving
    from ecc_deploy.serving.access import ServerTls as ServerTls
    from ecc_deploy.serving.options import ServerOptions as ServerOptions
    from ecc_deploy.serving.server import Server as Server
    from ecc_deploy.serving.server import serve as serve
    from ecc_deploy.sweep.pick import pick as pick_point
    from ecc_deploy.sweep.recipe import SweepRecipe as SweepRecipe
    from ecc_deploy.sweep.recipe import load_sweep_recipe as load_sweep_recipe
    from ecc_deploy.sweep.result import Point as Point
    from ecc_deploy.sweep.result import Sweep as Sweep
    from ecc_deploy.sweep.result import load_sweep as load_sweep
    from ecc_deploy.sweep.run import run_sweep as run_sweep
    from ecc_deploy.training.loop import train as train
    from ecc_deploy.training.recipe import Recipe as Recipe
    from ecc_deploy.training.recipe import load_recipe as load_recipe
    from ecc_deploy.training.run import Run as Run
    from ecc_deploy.training.run import load_run as load_run
    from ecc_deploy.workbench.debug import DebugResult as DebugResult
    from ecc_deploy.workbench.debug import debug_bundle as debug_bundle
    from ecc_deploy.workbench.exclusion import propose_exclusions as propose_exclusions
    from ecc_deploy.workbench.proposal import Proposal as Proposal

    __version__: str

_TRAIN, _EXPORT, _REPORT, _QUICKSTART = "train", "train,onnxruntime", "report", "train,onnxruntime,report"
_SWEEP = "train,sweep"
_NAMES: dict[str, tuple[str, str, str]] = {
    "Answer": ("runtime.predict", "Answer", ""),
    "Bench": ("bench.schema", "Bench", ""),
    "BenchSeries": ("bench.series", "Series", ""),
    "Breaker": ("runtime.breaker", "Breaker", ""),
    "Bundle": ("bundle.store", "Bundle", ""),
    "CloudClient": ("runtime.client", "CloudClient", ""),
    "Comparison": ("comparison.result", "Comparison", ""),
    "Credentials": ("runtime.credentials", "Credentials", ""),
    "DebugResult": ("workbench.debug", "DebugResult", _TRAIN),
    "Device": ("devices.bench", "Device", ""),
    "Diagnosis": ("doctor", "Diagnosis", ""),
    "EccError": ("errors", "EccError", ""),
    "EdgeRuntime": ("runtime.engine", "EdgeRuntime", ""),
    "Engine": ("runtime.on_device", "Engine", ""),
    "Evaluation": ("evaluation.evaluate", "Evaluation", ""),
    "Hedge": ("runtime.hedge", "Hedge", ""),
    "Link": ("links.link", "Link", ""),
    "LinkProfile": ("links.profile", "LinkProfile", ""),
    "Normalisation": ("data.interface", "Normalisation", ""),
    "Pipeline": ("runtime.pipeline", "Pipeline", ""),
    "Plan": ("partition.plan", "Plan", _EXPORT),
    "Point": ("sweep.result", "Point", ""),
    "Policy": ("runtime.choice", "Policy", ""),
    "Prediction": ("runtime.result", "Prediction", ""),
    "Proposal": ("workbench.proposal", "Proposal", _TRAIN),
    "QuickstartResult": ("quickstart", "QuickstartResult", _QUICKSTART),
    "Recipe": ("training.recipe", "Recipe", ""),
    "Run": ("training.run", "Run", _TRAIN),
    "Samples": ("data.interface", "Samples", ""),
    "Seeds": ("evaluation.seeds", "Seeds", ""),
    "Server": ("serving.server", "Server", ""),
    "ServerOptions": ("serving.options", "ServerOptions", ""),
    "ServerTls": ("serving.access", "ServerTls", ""),
    "ServingExport": ("scaling.export", "ServingExport", ""),
    "Sweep": ("sweep.result", "Sweep", ""),
    "SweepRecipe": ("sweep.recipe", "SweepRecipe", _TRAIN),
    "Target": ("backends.targets", "Target", ""),
    "TargetExport": ("export.all_targets", "TargetExport", _EXPORT),
    "bench_on_device": ("devices.bench", "bench_on_device", ""),
    "compare_bundles": ("comparison.compare", "compare_bundles", ""),
    "compile_bundle": ("runtime.on_device", "compile_bundle", ""),
    "debug_bundle": ("workbench.debug", "debug_bundle", _TRAIN),
    "diagnose": ("doctor", "diagnose", ""),
    "diagnose_device": ("devices.bench", "diagnose_device", ""),
    "evaluate": ("evaluation.evaluate", "evaluate", ""),
    "export_all": ("export.all_targets", "export_all", _EXPORT),
    "export_bundle": ("export.exporter", "export", _EXPORT),
    "export_serving": ("scaling.export", "export_serving", ""),
    "fetch_dataset": ("data.fetch", "fetch_dataset", ""),
    "list_datasets": ("data.registry", "list_datasets", ""),
    "list_links": ("links.profile", "list_links", ""),
    "list_targets": ("backends.targets", "list_targets", ""),
    "load_bench": ("bench.schema", "load_bench", ""),
    "load_credentials": ("runtime.credentials", "load_credentials", ""),
    "load_dataset": ("data.registry", "load", ""),
    "load_link": ("links.profile", "load_link", ""),
    "load_recipe": ("training.recipe", "load_recipe", ""),
    "load_run": ("training.run", "load_run", _TRAIN),
    "load_sweep": ("sweep.result", "load_sweep", ""),
    "load_sweep_recipe": ("sweep.recipe", "load_sweep_recipe", _TRAIN),
    "load_target": ("backends.targets", "load_target", ""),
    "new_signing_key": ("bundle.signing", "new_key", "sign"),
    "open_bundle": ("bundle.store", "open_bundle", ""),
    "open_link": ("links.opening", "open_link", ""),
    "over_seeds": ("evaluation.seeds", "over_seeds", ""),
    "pick_point": ("sweep.pick", "pick", ""),
    "plan": ("partition.plan", "plan", _EXPORT),
    "predict": ("runtime.predict", "predict", ""),
    "propose_exclusions": ("workbench.exclusion", "propose_exclusions", _TRAIN),
    "run_bench": ("bench.run", "bench", ""),
    "run_quickstart": ("quickstart", "quickstart", _QUICKSTART),
    "run_sweep": ("sweep.run", "run_sweep", _SWEEP),
    "save_bench": ("bench.schema", "save_bench", ""),
    "serve": ("serving.server", "serve", ""),
    "sign_bundle": ("bundle.signing", "sign_bundle", "sign"),
    "train": ("training.loop", "train", _TRAIN),
    "write_curves": ("report.evaluations", "write_curves", _REPORT),
    "write_report": ("report.html", "write_report", _REPORT),
}
"""Public name: module, name in that module, extra that its imports need ("" where the base dependencies do)."""

__all__ = [
    "Answer",
    "Bench",
    "BenchSeries",
    "Breaker",
    "Bundle",
    "CloudClient",
    "Comparison",
    "Credentials",
    "DebugResult",
    "Device",
    "Diagnosis",
    "EccError",
    "EdgeRuntime",
    "Engine",
    "Evaluation",
    "Hedge",
    "Link",
    "LinkProfile",
    "Normalisation",
    "Pipeline",
    "Plan",
    "Point",
    "Policy",
    "Prediction",
    "Proposal",
    "QuickstartResult",
    "Recipe",
    "Run",
    "Samples",
    "Seeds",
    "Server",
    "ServerOptions",
    "ServerTls",
    "ServingExport",
    "Sweep",
    "SweepRecipe",
    "Target",
    "TargetExport",
    "__version__",
    "bench_on_device",
    "compare_bundles",
    "compile_bundle",
    "debug_bundle",
    "diagnose",
    "diagnose_device",
    "evaluate",
    "export_all",
    "export_bundle",
    "export_serving",
    "fetch_dataset",
    "list_datasets",
    "list_links",
    "list_targets",
    "load_bench",
    "load_credentials",
    "load_dataset",
    "load_link",
    "load_recipe",
    "load_run",
    "load_sweep",
    "load_sweep_recipe",
    "load_target",
    "new_signing_key",
    "open_bundle",
    "open_link",
    "over_seeds",
    "pick_point",
    "plan",
    "predict",
    "propose_exclusions",
    "run_bench",
    "run_quickstart",
    "run_sweep",
    "save_bench",
    "serve",
    "sign_bundle",
    "train",
    "write_curves",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ecc-deploy")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute, extra = _NAMES[name]
    try:
        value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not extra or missing.split(".")[0] == __name__:
            raise
        from ecc_deploy.errors import BackendMissingError

        raise BackendMissingError(
            f"ecc_deploy.{name} needs {missing}, which is not installed", f"Run: pip install 'ecc-deploy[{extra}]'"
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
