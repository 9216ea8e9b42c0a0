"""What of `make test-arm` needs no emulation: what it compares, how far that may be apart, when it gives up."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ecc_deploy as ecc
from ecc_deploy.bundle import Bundle
from ecc_deploy.bundle.golden import load_golden
from ecc_deploy.serving import Server

CI = Path(__file__).parents[1] / ".ci"


@pytest.fixture(autouse=True)
def _its_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(CI)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("arm_"):
            del sys.modules[name]


@pytest.fixture
def compare() -> ModuleType:
    return importlib.import_module("arm_compare")


@pytest.fixture
def userland() -> ModuleType:
    return importlib.import_module("arm_userland")


@pytest.fixture
def check() -> ModuleType:
    return importlib.import_module("arm_check")


def decode(payload: bytes) -> np.ndarray:
    return np.frombuffer(payload, np.uint8)


def answers(compare: ModuleType, codes: np.ndarray, sent: range = range(4)):
    """Eight images, of which those in ``sent`` were sent, as 100 codes each."""
    logits = np.linspace(-5, 5, 8 * 3, dtype=np.float32).reshape(8, 3)
    return compare.Answers(logits, {number: codes.tobytes() for number in sent})


CODES = np.full(100, 7, np.uint8)


def off(by: int, count: int) -> np.ndarray:
    return np.where(np.arange(100) < count, CODES.astype(int) + by, CODES).astype(np.uint8)


@pytest.mark.parametrize("kind", ["EXACT", "NEAR"])
def test_the_same_answers_agree(compare: ModuleType, kind: str) -> None:
    here = answers(compare, CODES)
    found = compare.compare(here, answers(compare, CODES), decode, getattr(compare, kind))
    assert (found.images, found.sent, found.sent_by_one, found.other_bytes) == (8, 4, 0, 0)
    assert (found.codes, found.other_codes, found.largest_step, found.logit_shift) == (400, 0, 0, 0)
    assert found.wrong == ()


@pytest.mark.parametrize(
    ("codes", "exact", "near"),
    [
        (off(1, 1), "4 of 4 payloads have other bytes", None),
        (off(1, 2), "4 of 4 payloads have other bytes", None),
        (off(1, 3), "12 of 400 codes differ", "12 of 400 codes differ; allowed are 2%"),
        (off(-2, 1), "a code is 2 from the other; allowed are 0", "a code is 2 from the other; allowed are 1"),
    ],
)
def test_codes_may_differ_as_far_as_it_says(
    compare: ModuleType, codes: np.ndarray, exact: str, near: str | None
) -> None:
    here, there = answers(compare, CODES), answers(compare, codes)
    assert exact in "; ".join(compare.compare(here, there, decode, compare.EXACT).wrong)
    found = compare.compare(here, there, decode, compare.NEAR)
    assert found.other_codes == 4 * int((codes != CODES).sum())
    assert "; ".join(found.wrong) == (near or "")


def test_other_images_are_sent(compare: ModuleType) -> None:
    here, there = answers(compare, CODES, range(4)), answers(compare, CODES, range(1, 5))
    for limits in (compare.EXACT, compare.NEAR):
        found = compare.compare(here, there, decode, limits)
        assert (found.sent, found.sent_by_one) == (3, 2)
        assert found.wrong == ("2 of 8 images are sent by one and not by the other",)
    assert not compare.compare(here, there, decode, replace(compare.NEAR, sent_share=0.25)).wrong


def test_nothing_sent_is_nothing_compared(compare: ModuleType) -> None:
    nothing = answers(compare, CODES, range(0))
    assert "nothing is compared" in compare.compare(nothing, nothing, decode, compare.NEAR).wrong[0]
    assert not compare.compare(nothing, nothing, None, compare.EXACT).wrong  # the edge alone


@pytest.mark.parametrize(("shift", "exact", "near"), [(1e-6, 0, 0), (0.1, 1, 0), (0.6, 1, 1), (float("nan"), 1, 1)])
def test_logits_may_differ_as_far_as_it_says(compare: ModuleType, shift: float, exact: int, near: int) -> None:
    here, there = answers(compare, CODES), answers(compare, CODES)
    there.logits[5, 1] += np.float32(shift)
    for limits, wrong in ((compare.EXACT, exact), (compare.NEAR, near)):
        found = compare.compare(here, there, decode, limits)
        assert len(found.wrong) == wrong
        assert all(what.startswith("logits differ by") for what in found.wrong)


def test_logits_of_images_that_went_another_way_are_not_compared(compare: ModuleType) -> None:
    here, there = answers(compare, CODES, range(4)), answers(compare, CODES, range(5))
    there.logits[4] += 9
    assert compare.compare(here, there, decode, compare.NEAR).logit_shift == 0


def test_answers_to_other_questions_are_an_error(compare: ModuleType) -> None:
    here = answers(compare, CODES)
    with pytest.raises(ValueError, match="cannot be compared"):
        compare.compare(here, compare.Answers(here.logits[:7]), None, compare.NEAR)


def test_integers_of_litert_and_images_are_exact(compare: ModuleType) -> None:
    assert compare.limits_of("tflite", "int8", "boundary") == compare.EXACT
    assert compare.limits_of("tflite", "fp32", "boundary") == compare.NEAR
    assert compare.limits_of("onnxruntime", "int8", "boundary") == compare.NEAR
    images = compare.limits_of("onnxruntime", "int8", "input")
    assert (images.bytes_equal, images.code_step, images.code_share) == (True, 0, 0)


def test_what_the_device_writes(compare: ModuleType, rich_bundle: Bundle, tmp_path: Path) -> None:
    golden = load_golden(rich_bundle)
    images, out = tmp_path / "images.npy", tmp_path / "answers.safetensors"
    np.save(images, golden.images)
    with Server([rich_bundle]) as server:
        program = [sys.executable, CI / "arm_device.py", rich_bundle.path, images, f"127.0.0.1:{server.port}", out]
        done = subprocess.run(list(map(str, program)), capture_output=True, text=True, cwd=CI.parent)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["versions"]["onnxruntime"]
    assert any("edge half 'encode'" in note for note in facts["notes"])
    assert any("cloud half 'tail'" in note for note in facts["notes"])

    found = compare.load_answers(out)
    assert set(found) == set(rich_bundle.manifest.deployments)
    assert found["edge-only"].payloads == {}
    assert np.array_equal(found["edge-only"].logits, golden.output("exit", "logits"))
    for name in ("adaptive", "cloud-only"):
        assert found[name].payloads == {i: golden.payload(name, i) for i in range(len(golden))}
    tail = rich_bundle.manifest.deployments["adaptive"].cloud
    assert np.array_equal(found["adaptive"].logits, golden.output(tail, "logits"))


def test_every_target_that_can_be_emulated_is_checked_once(check: ModuleType, userland: ModuleType) -> None:
    targets = ecc.list_targets()
    named = {target.name: target.device.emulated_as for target in targets if target.device.emulated_as}
    assert {"raspberry-pi-4", "raspberry-pi-5", "onnxruntime-aarch64"} <= set(named)
    assert set(named.values()) <= set(userland.PARTS)
    found = check.cases(targets, None)
    assert sorted(target.name for case in found for target in case.targets) == sorted(named)
    (pi,) = [case for case in found if "raspberry-pi-4" in case.title]
    assert "raspberry-pi-5" in pi.title
    assert pi.precision == "int8"
    assert {case.precision for case in check.cases(targets, "fp32")} == {"fp32"}


def test_cpuinfo_is_of_the_emulated_cpu(userland: ModuleType) -> None:
    text = userland.cpuinfo(userland.Cpu("cortex-a76", ("fp", "asimd", "asimddp")), 2)
    assert text.count("Features\t: fp asimd asimddp\n") == text.count("CPU part\t: 0xd0b\n") == 2
    with pytest.raises(userland.CommandError, match="max is not known; known: cortex-a53"):
        userland.cpuinfo(userland.Cpu("max", ("fp",)), 1)


def test_nothing_half_made_is_kept(userland: ModuleType, tmp_path: Path) -> None:
    def half(made: Path) -> None:
        made.mkdir()
        raise userland.CommandError("no network")

    def whole(made: Path) -> None:
        made.mkdir()
        (made / "file").write_text("whole")

    with pytest.raises(userland.CommandError, match="no network"):
        userland.keep(tmp_path / "root", half)
    assert list(tmp_path.iterdir()) == []
    assert userland.keep(tmp_path / "root", whole) == tmp_path / "root"
    assert userland.keep(tmp_path / "root", half) == tmp_path / "root"
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_where_another_run_is_first_its_result_is_taken(userland: ModuleType, tmp_path: Path) -> None:
    def slow(made: Path) -> None:
        made.mkdir()
        (tmp_path / "root").mkdir()
        (tmp_path / "root/theirs").touch()

    assert [path.name for path in userland.keep(tmp_path / "root", slow).iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


@pytest.mark.parametrize(("option", "code"), [([], 0), (["--required"], 1)])
def test_without_apt_it_says_so(
    check: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    option: list,
    code: int,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(check, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(sys, "argv", ["arm_check.py", *option])
    assert check.main() == code
    assert capsys.readouterr().out.startswith("SKIPPED: no Arm board can be emulated here: ")
    assert not list(tmp_path.glob("cache/*"))


def test_what_a_failed_command_said_is_shown(userland: ModuleType) -> None:
    code = "import sys; print('half an answer'); sys.exit('no such CPU')"
    with pytest.raises(userland.CommandError, match=r"failed \(exit code 1\):\nhalf an answer\nno such CPU"):
        userland.run([sys.executable, "-c", code])
    with pytest.raises(userland.CommandError, match=r"failed \(signal 11\)"):
        userland.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    with pytest.raises(userland.CommandError, match="cannot be run: No such file"):
        userland.run([Path("/nowhere/qemu")])
