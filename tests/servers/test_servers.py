"""The same edge, and the protocol's own client, against every server that a bundle can be behind.

The servers are real, from the environments that ``make test-servers`` makes; it sets ``ECC_DEPLOY_SERVERS``. Without it
only our own server is tested here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import server_launchers
from ecc_deploy.bundle import Bundle
from ecc_deploy.scaling.export import export_serving
from tests.servers.contract import ServerContract

SERVERS = os.environ.get("ECC_DEPLOY_SERVERS")


def environment(name: str) -> Path:
    """The folder of all environments. Skips without ``ECC_DEPLOY_SERVERS``; fails where it is set and not true."""
    if SERVERS is None:
        pytest.skip(f"the server {name} is tested by `make test-servers`, which installs it")
    assert not server_launchers.missing(name, Path(SERVERS)), f"{SERVERS}/{name} is not there: make test-servers"
    return Path(SERVERS)


class OfKind(ServerContract):
    kind: str

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, rich_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        servers = Path() if cls.kind == "embedded" else environment(cls.kind)
        with server_launchers.LAUNCHERS[cls.kind](rich_bundle, servers, tmp_path_factory.mktemp(cls.kind)) as running:
            assert running.rss_bytes() > 10 << 20
            yield running.url
            family = server_launchers.descendants(running.pid)
        assert family
        assert not [pid for pid in family if server_launchers.is_running(pid)]


class TestEmbedded(OfKind):
    kind = "embedded"


class TestTriton(OfKind):
    kind = "triton"


class TestRay(OfKind):
    kind = "ray"


class TestKServe(OfKind):
    kind = "kserve"


CHECK_SERVICE = '''
import json, re, sys
import kserve, kubernetes.client as core, yaml

def check(value, kind, where):
    """Every field is one of KServe's own model, of its type; nothing is left over."""
    several = re.fullmatch(r"[Ll]ist\\[(.+)\\]", kind)
    named = re.fullmatch(r"[Dd]ict[\\[(]str, (.+)[\\])]", kind)
    model = getattr(kserve, kind, None) or getattr(core, kind, None)
    if several:
        assert isinstance(value, list), where
        for index, item in enumerate(value):
            check(item, several[1], f"{where}[{index}]")
    elif named:
        for name, item in value.items():
            check(item, named[1], f"{where}.{name}")
    elif model is not None:
        fields = {model.attribute_map[name]: name for name in model.openapi_types}
        assert not set(value) - set(fields), f"{where}: {set(value) - set(fields)}"
        for name, item in value.items():
            check(item, model.openapi_types[fields[name]], f"{where}.{name}")
        model(**{fields[name]: item for name, item in value.items()})  # its own checks: what is required
        seen.append(kind)
    elif kind == "object":
        assert isinstance(value, (str, int)), where  # a port, by number or name
    else:
        assert isinstance(value, {"str": str, "int": int}[kind]), where

seen = []
check(yaml.safe_load(open(sys.argv[1])), "V1beta1InferenceService", "")
print(json.dumps(seen))
'''


@pytest.mark.parametrize(("kind", "part"), [("kserve", "V1Container"), ("triton", "V1beta1ModelSpec")])
def test_the_inference_service_is_one_by_kserves_own_models(
    rich_bundle: Bundle, tmp_path: Path, kind: str, part: str
) -> None:
    python = environment("kserve") / "kserve/bin/python"
    out = export_serving(rich_bundle, tmp_path / "out", kind=kind, image="registry.example/ecc:1")  # type: ignore[arg-type]
    done = subprocess.run(
        [str(python), "-c", CHECK_SERVICE, str(out.path / "inference-service.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert part in done.stdout
    assert "V1beta1PredictorSpec" in done.stdout
