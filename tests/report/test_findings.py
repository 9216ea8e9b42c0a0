import pytest

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.stats import best_image_codec
from ecc_deploy.report.cautions import cautions
from ecc_deploy.report.findings import Summary, summarise
from tests.report.fake_bench import Maker, every_arm, fake_bench


def losses(summary: Summary) -> str:
    return "\n".join(finding.text for finding in summary.findings if finding.kind == "loss")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_headline_holds_the_figures_of_the_bench() -> None:
    bench = fake_bench()
    arm, cloud, image = bench.arm("dynamic"), bench.arm("cloud-only/raw"), best_image_codec(bench)
    below = (cloud.accuracy - arm.accuracy) * 100
    fewer_bytes = round(100 - 100 * arm.payload_bytes_per_sample / image.payload_bytes_per_sample)
    fewer_macs = round(100 - 100 * arm.cloud_macs_per_sample / cloud.cloud_macs_per_sample)
    assert plain(summarise(bench).headline) == (
        f"ECC-D · int4+zstd: {arm.accuracy * 100:.1f} % ({below:.1f} points below cloud-only) at a median latency of "
        f"{arm.latency_ms.p50:.3f} ms, with {arm.payload_bytes_per_sample:.1f} B of payload per sample, "
        f"{fewer_bytes} % fewer than cloud-only’s best image codec ({image.codec}), and {fewer_macs} % fewer cloud "
        "MACs."
    )


def test_what_is_cheaper_at_equal_accuracy_is_named() -> None:
    bench = fake_bench()
    rival, lead = bench.arm("independent"), bench.arm("dynamic")
    rival.accuracy, rival.payload_bytes_per_sample = lead.accuracy + 0.001, lead.payload_bytes_per_sample / 2
    rival.cloud_macs_per_sample = lead.cloud_macs_per_sample / 4
    rival.latency_ms.p95 = lead.latency_ms.p95 / 2
    text = plain(losses(summarise(bench)))
    assert f"At equal accuracy ECC-I · png, {rival.accuracy * 100:.1f} %, is better in payload (" in text
    assert "cloud computation (75 % fewer cloud MACs)" in text
    assert "95th percentile of latency (" in text


def test_what_is_cheaper_but_less_accurate_is_no_rival() -> None:
    bench = fake_bench()
    lead = bench.arm("dynamic")
    for arm in bench.arms:
        if arm is not lead:
            arm.accuracy = lead.accuracy - 0.0051
    assert "better in" not in losses(summarise(bench))


def test_more_bytes_than_the_best_image_codec_are_said_to_be_more() -> None:
    bench = fake_bench()
    image = best_image_codec(bench)
    bench.arm("dynamic").payload_bytes_per_sample = image.payload_bytes_per_sample * 1.5
    assert "50 % more than cloud-only’s best image codec" in plain(summarise(bench).headline)
    bench.arm("dynamic").payload_bytes_per_sample = image.payload_bytes_per_sample * 3
    assert "3.0 times as many as cloud-only’s best image codec" in plain(summarise(bench).headline)


def test_a_large_loss_of_accuracy_is_a_loss() -> None:
    bench = fake_bench()
    bench.arm("dynamic").accuracy = bench.arm("cloud-only/raw").accuracy - 0.02
    assert "It is 2.0 points less accurate than cloud-only." in losses(summarise(bench))


@pytest.mark.parametrize(("edge", "words"), [(0.93, "as accurate as"), (0.95, "2.0 points more accurate than")])
def test_no_gap_is_said_to_be_none(edge: float, words: str) -> None:
    bench = fake_bench()
    bench.arm("edge-only").accuracy, bench.arm("cloud-only/raw").accuracy = edge, 0.93
    assert f"is {words} cloud-only: there is no gap" in losses(summarise(bench))


def test_an_arm_below_edge_only_gains_nothing() -> None:
    bench = fake_bench()
    bench.arm("dynamic").accuracy = bench.arm("edge-only").accuracy - 0.001
    assert "offloading gains nothing" in losses(summarise(bench))


@pytest.mark.parametrize(
    ("kept", "lead"),
    [("adaptive", "ECC-A"), ("independent", "ECC-I"), ("cloud-only", "Cloud-only"), ("edge-only", "Edge-only")],
)
def test_the_subject_is_the_next_best_architecture(kept: str, lead: str) -> None:
    order = ["edge-only", "cloud-only", "independent", "adaptive", "dynamic"]
    allowed = order[: order.index(kept) + 1]

    def arms(maker: Maker) -> list[Arm]:
        return [arm for arm in every_arm(maker) if arm.architecture in allowed]

    assert summarise(fake_bench(100, arms=arms)).headline.startswith(lead)


def test_cautions_say_what_the_bench_warned_of_and_what_follows() -> None:
    def arms(maker: Maker) -> list[Arm]:
        return [maker.edge_only(), maker.cloud_only("raw"), maker.dynamic(0.4, fallback_share=0.5)]

    bench = fake_bench(60, arms=arms, warnings=["the machine was busy"])
    found = "\n".join(cautions(bench))
    assert "The machine was busy" in found
    assert "dynamic: the edge answered" in found
    assert "Only 60 samples per arm" in found
    assert "99th percentiles" in found


def test_a_fallback_is_warned_of_once() -> None:
    def arms(maker: Maker) -> list[Arm]:
        return [maker.dynamic(0.4, fallback_share=0.5)]

    said = "dynamic: the edge answered 12 of 60 samples that the cloud should have answered"
    assert sum("dynamic:" in text for text in cautions(fake_bench(60, arms=arms, warnings=[said]))) == 1


def test_cautions_find_figures_that_contradict_each_other() -> None:
    bench = fake_bench()
    assert cautions(bench) == []
    bench.arm("adaptive").accuracy += 0.01
    bench.arm("dynamic").stages_mean_ms["network"] += 1
    bench.arm("independent").raw.sample[0] += 1
    bench.arm("cloud-only/png").raw.route.pop()
    found = "\n".join(cautions(bench))
    assert "adaptive: the stated accuracy is not that of its raw samples" in found
    assert "dynamic: its stages do not add up" in found
    assert "Not measured on the same samples as edge-only: independent" in found
    assert "cloud-only/png: the raw samples are incomplete" in found


def test_a_gap_within_the_noise_is_said_to_be() -> None:
    bench: Bench = fake_bench(450, edge_accuracy=0.925, cloud_accuracy=0.93, seed=3)
    bench.arm("cloud-only/raw").accuracy = bench.arm("edge-only").accuracy + 0.002
    assert "within the noise" in "\n".join(cautions(bench))
