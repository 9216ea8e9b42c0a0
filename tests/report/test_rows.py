import pytest

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.stats import best_image_codec
from ecc_deploy.report.rows import Row, references, representatives, rows
from tests.report.fake_bench import CLOUD_MACS, RAW_BYTES, TAIL_MACS, Maker, fake_bench


@pytest.fixture(scope="module")
def bench() -> Bench:
    return fake_bench()


def row(bench: Bench, name: str) -> Row:
    return next(found for found in rows(bench) if found.arm.name == name)


def test_rows_come_by_family_whatever_the_order_of_the_file(bench: Bench) -> None:
    mixed = bench.model_copy(update={"arms": bench.arms[::-1]})
    order = [found.family.label for found in rows(mixed)]
    assert list(dict.fromkeys(order)) == ["Edge-only", "Cloud-only", "ECC-I", "ECC-A", "ECC-D"]
    assert len(order) == len(bench.arms)


def test_derived_figures_follow_from_the_arms(bench: Bench) -> None:
    edge, cloud, dynamic = (bench.arm(name) for name in ("edge-only", "cloud-only/raw", "dynamic"))
    found = row(bench, "dynamic")
    assert found.vs_cloud == pytest.approx(dynamic.accuracy - cloud.accuracy)
    assert found.of_cloud == pytest.approx(dynamic.accuracy / cloud.accuracy)
    assert found.gap_recovered == pytest.approx((dynamic.accuracy - edge.accuracy) / (cloud.accuracy - edge.accuracy))
    assert found.payload_of_raw == pytest.approx(dynamic.payload_bytes_per_sample / RAW_BYTES)
    image = best_image_codec(bench)
    assert found.payload_of_image == pytest.approx(dynamic.payload_bytes_per_sample / image.payload_bytes_per_sample)
    random = 0.7 * edge.accuracy + 0.3 * bench.arm("adaptive").accuracy
    assert found.vs_random == pytest.approx(dynamic.accuracy - random, abs=1e-3)
    assert found.interval.low < dynamic.accuracy < found.interval.high
    assert dynamic.cloud_macs_per_sample == pytest.approx(0.3 * TAIL_MACS, rel=0.01)


def test_chance_is_fused_where_the_arm_is() -> None:
    def arms(maker: Maker) -> list[Arm]:
        plain, gated = maker.adaptive(), maker.dynamic(0.3)
        both = plain.model_copy(update={"name": "adaptive-fused", "deployment": "adaptive-fused", "fused": True})
        both.accuracy = plain.accuracy + 0.02
        fused = gated.model_copy(update={"name": "fused", "deployment": "fused", "fused": True})
        return [maker.edge_only(), maker.cloud_only("raw"), plain, both, gated, fused]

    bench = fake_bench(arms=arms)
    found = {each.arm.name: each.vs_random for each in rows(bench)}
    assert found["dynamic"] is not None
    assert found["fused"] == pytest.approx(found["dynamic"] - 0.02 * bench.arm("dynamic").offload_rate)
    alone = fake_bench(arms=lambda maker: [arm for arm in arms(maker) if arm.name != "adaptive-fused"])
    assert {each.arm.name: each.vs_random for each in rows(alone)}["fused"] is None


def test_the_references_lie_at_0_and_100_percent_of_the_gap(bench: Bench) -> None:
    assert row(bench, "edge-only").gap_recovered == 0
    assert row(bench, "cloud-only/raw").gap_recovered == 1
    assert row(bench, "cloud-only/raw").vs_cloud is None
    assert row(bench, "cloud-only/raw").arm.cloud_macs_per_sample == CLOUD_MACS


def test_the_fronts_hold_what_no_arm_beats(bench: Bench) -> None:
    for cost, on_front in (("payload_bytes_per_sample", "on_bytes_front"), ("cloud_macs_per_sample", "on_macs_front")):
        for found in rows(bench):
            beaten = any(
                getattr(other, cost) <= getattr(found.arm, cost)
                and other.accuracy >= found.arm.accuracy
                and (getattr(other, cost), other.accuracy) != (getattr(found.arm, cost), found.arm.accuracy)
                for other in bench.arms
            )
            assert getattr(found, on_front) is not beaten


def test_without_a_cloud_arm_nothing_is_compared_with_it() -> None:
    found = rows(fake_bench(60, arms=lambda maker: [maker.edge_only()]))[0]
    assert (found.vs_cloud, found.of_cloud, found.gap_recovered, found.payload_of_image) == (None, None, None, None)


def test_without_raw_input_the_most_accurate_cloud_arm_is_the_reference() -> None:
    def arms(maker: Maker) -> list[Arm]:
        return [maker.cloud_only("webp:20"), maker.cloud_only("png"), maker.dynamic(0.3)]

    found = references(fake_bench(arms=arms))
    assert found.cloud is not None
    assert found.cloud.codec == "png"
    assert found.edge is None


@pytest.mark.parametrize(("edge", "cloud"), [(0.9, 0.9), (0.95, 0.9)])
def test_no_share_of_a_gap_that_is_none(edge: float, cloud: float) -> None:
    bench = fake_bench(edge_accuracy=edge, cloud_accuracy=cloud)
    for arm in (bench.arm("edge-only"), bench.arm("cloud-only/raw")):
        arm.accuracy = edge if arm.architecture == "edge-only" else cloud
    assert all(found.gap_recovered is None for found in rows(bench))


def test_labels_tell_arms_apart() -> None:
    def arms(maker: Maker) -> list[Arm]:
        second = maker.dynamic(0.3).model_copy(update={"name": "late", "deployment": "late"})
        return [maker.dynamic(0.3), maker.dynamic(0.3).model_copy(update={"name": "again"}), second]

    found = [each.label for each in rows(fake_bench(60, arms=arms))]
    assert found == ["dynamic", "again", "ECC-D (late) · int4+zstd"]


def test_one_representative_per_family_and_the_best_image_codec_for_cloud_only(bench: Bench) -> None:
    chosen = representatives(rows(bench), bench)
    assert [found.family.label for found in chosen] == ["Edge-only", "Cloud-only", "ECC-I", "ECC-A", "ECC-D"]
    assert chosen[1].arm is best_image_codec(bench)
