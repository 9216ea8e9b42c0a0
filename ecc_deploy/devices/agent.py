"""``python -m ecc_deploy.devices.agent``: the device's end of a benchmark over ssh. Nobody calls it by hand.

It takes a bundle, says what is missing, compiles what belongs to the device, and measures. It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from ecc_deploy.devices import lifeline
from ecc_deploy.devices.frames import GREETING, PROTOCOL, Frame, encoded, shown, write_all
from ecc_deploy.devices.lifeline import Lifeline
from ecc_deploy.devices.requirements import check_runtime, code_digest, is_finished_there
from ecc_deploy.devices.store import DeviceStore
from ecc_deploy.doctor import diagnose
from ecc_deploy.errors import BundleError, DeviceError, EccError

PROGRESS_INTERVAL_S = 1.0
"""More often would disturb what is measured."""


class Agent:
    """Answers frames from ``line`` by frames to ``say``, one after the other."""

    def __init__(self, line: Lifeline, say: Callable[[bytes], None]) -> None:
        self._line = line
        self._say = say
        self._store: DeviceStore | None = None
        self._verbs: dict[str, Callable[[Frame], tuple[dict[str, Any], bytes]]] = {
            "doctor": self._doctor,
            "offer": self._offer,
            "file": self._file,
            "ready": self._ready,
            "bench": self._bench,
        }

    def serve(self) -> None:
        """Until nothing more comes."""
        while (frame := self._line.next()) is not None:
            if frame.kind == "chunk":
                continue  # of a file that was refused
            verb = self._verbs.get(frame.kind)
            try:
                if verb is None:
                    raise DeviceError(f"{shown(frame.kind)!r} is not known here")
                facts, body = verb(frame)
            except EccError as error:
                self._answer("error", {"type": type(error).__name__, "message": error.message, "hint": error.hint})
            except Exception:  # a bug: its traceback belongs where somebody reads it
                self._answer("crash", {"traceback": traceback.format_exc()[-8000:]})
            else:
                self._answer("done", facts, body)

    def close(self) -> None:
        """Give the store back."""
        if self._store is not None:
            self._store.close()

    def _answer(self, kind: str, facts: dict[str, Any], body: bytes = b"") -> None:
        self._say(encoded(kind, facts, body))

    def _doctor(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        return {}, json.dumps(diagnose().to_json()).encode()

    def _offer(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        if self._store is None:
            self._store = DeviceStore()
        return {"wanted": self._store.offer(frame.body)}, b""

    def _file(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        sha256, size = frame.facts.get("sha256"), frame.facts.get("bytes")
        if not isinstance(sha256, str) or type(size) is not int:
            raise DeviceError("a file was announced without its size and SHA-256")
        self._held.receive(sha256, size, self._chunks())
        return {}, b""

    def _chunks(self) -> Iterator[bytes]:
        while (frame := self._line.next()) is not None:
            if frame.kind != "chunk":
                raise DeviceError(f"{shown(frame.kind)!r} came within a file")
            yield frame.body
        raise KeyboardInterrupt

    def _ready(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        """Put the bundle together, check what it needs, and finish its edge halves where they need that."""
        bundle = self._held.bundle()
        check_runtime(bundle.manifest)
        if not is_finished_there(bundle.manifest):
            return {"engines": []}, b""
        from ecc_deploy.runtime.on_device import compile_bundle

        engines = compile_bundle(bundle, sides=["edge"], progress=self._progress())
        return {"engines": [asdict(engine) for engine in engines]}, b""

    def _bench(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        from ecc_deploy.bench.run import bench

        try:
            result = bench(self._held.bundle(), progress=self._progress(), **frame.facts)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise DeviceError(f"the ecc-deploy of the device does not know an option: {error}") from error
        return {}, result.model_dump_json().encode()

    @property
    def _held(self) -> DeviceStore:
        if self._store is None:
            raise BundleError("no bundle was offered")
        return self._store

    def _progress(self) -> Callable[[str, int, int, str], None]:
        due: dict[str, float] = {}

        def progress(what: str, done: int, total: int, note: str = "") -> None:
            now = time.monotonic()
            if done < total and now < due.get(what, 0.0):
                return
            due[what] = now + PROGRESS_INTERVAL_S
            self._answer("progress", {"what": what, "done": done, "total": total, "note": note})

        return progress


def main() -> int:
    """Serve whoever holds stdin. Exit code 0 at its end."""
    # What a library prints must not come between frames: they keep the real stdout, everything else goes to stderr.
    out, given = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    lifeline.lead_own_group()
    line = Lifeline(given)
    line.start()
    code = 0
    try:
        hello = {
            "protocol": PROTOCOL,
            "version": version("ecc-deploy"),
            "code": code_digest(),
            "python": sys.executable,
        }
        write_all(out, GREETING.encode() + json.dumps(hello).encode() + b"\n")
        agent = Agent(line, lambda content: write_all(out, content))
        try:
            agent.serve()
        finally:
            agent.close()
    except (KeyboardInterrupt, BrokenPipeError):
        code = 1
    line.over()
    if code:
        lifeline.end_group()  # no child is left behind
    return code


if __name__ == "__main__":
    sys.exit(main())
