import json
from pathlib import Path

import pytest

from ecc_deploy.bench import store
from ecc_deploy.bench.schema import Bench
from ecc_deploy.errors import UsageError
from tests.report.fake_bench import Maker, fake_bench


def _bench(created: str = "2026-11-21T06:00:00Z", **changes: object) -> Bench:
    def arms(maker: Maker) -> list:
        return [maker.edge_only(), maker.dynamic(0.3)]

    return fake_bench(20, arms=arms, created=created, **changes)


def test_runs_come_back_in_the_order_of_their_time(tmp_path: Path) -> None:
    later, earlier = _bench("2026-11-22T06:00:00Z"), _bench("2026-11-21T06:00:00Z")
    paths = [store.add(bench, tmp_path / "store") for bench in (later, earlier)]
    found = store.runs([tmp_path / "store"])
    assert [run.bench for run in found] == [earlier, later]
    assert [run.path for run in found] == paths[::-1]
    assert found[0].id == paths[1].name.removesuffix(".bench.json")
    assert "20261121T060000Z-fashion-mnist-s2-" in found[0].id


def test_the_same_run_is_there_once(tmp_path: Path) -> None:
    assert store.add(_bench(), tmp_path) == store.add(_bench(), tmp_path)
    assert len(store.runs([tmp_path, tmp_path, store.add(_bench(), tmp_path)])) == 1


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = store.add(_bench(bundle={"name": "../../etc/passwd"}), tmp_path / "store")
    assert path.resolve().parent == (tmp_path / "store").resolve()


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    store.add(_bench(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_other_json_in_a_folder_is_passed_over_but_no_damaged_run(tmp_path: Path) -> None:
    path = store.add(_bench(), tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    assert len(store.runs([tmp_path])) == 1
    path.write_text(path.read_text()[:500])
    with pytest.raises(UsageError, match=r"is not a bench\.json"):
        store.runs([tmp_path])


def test_a_file_has_to_be_a_benchmark(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match=r"is not a bench\.json"):
        store.runs([tmp_path / "notes.json"])


def test_places_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        store.runs([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="no benchmark"):
        store.runs([tmp_path])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a store is a folder"):
        store.add(_bench(), tmp_path / "file")


def test_the_last_two_runs_of_one_kind_are_compared(tmp_path: Path) -> None:
    days = [_bench(f"2026-11-2{day}T06:00:00Z") for day in range(3)]
    other = _bench("2026-11-21T12:00:00Z", bundle={"name": "another"})
    for bench in (*days, other):
        store.add(bench, tmp_path)
    before, after = store.pair([tmp_path])
    assert (before.bench, after.bench) == (days[1], days[2])


def test_two_files_are_compared_whatever_they_are_of(tmp_path: Path) -> None:
    paths = [store.add(_bench(f"2026-11-2{d}T06:00:00Z", bundle={"name": f"b{d}"}), tmp_path) for d in (2, 1)]
    assert [run.path for run in store.pair(paths)] == paths[::-1]


def test_one_run_cannot_be_compared(tmp_path: Path) -> None:
    store.add(_bench(), tmp_path)
    with pytest.raises(UsageError, match="two runs"):
        store.pair([tmp_path])
