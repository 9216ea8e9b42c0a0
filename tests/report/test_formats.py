import pytest

from ecc_deploy.report import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.4521, "0.452"), (61.34, "61.3"), (784, "784"), (17119.2, "17,119"), (None, "—"), (float("nan"), "—")],
)
def test_significant(value: float | None, text: str) -> None:
    assert formats.significant(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.44, "+0.4"), (-0.44, "−0.4"), (-0.01, "±0.0"), (None, "—")])
def test_signed(value: float | None, text: str) -> None:
    assert formats.signed(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.22, "78\u00a0% fewer"), (1.5, "50\u00a0% more"), (1.0, "as many"), (3.14, "3.1 times as many"),
     (0.0, "100\u00a0% fewer"), (0.0004, "100.0\u00a0% fewer"), (None, "—")],
)  # fmt: skip
def test_fewer(share: float | None, text: str) -> None:
    assert formats.fewer(share) == text


def test_units_stand_beside_their_numbers() -> None:
    assert formats.percent(0.9314) == "93.1\u00a0%"
    assert formats.count_macs(2_310_000) == "2.31\u00a0M\u00a0MACs"
    assert formats.count_macs(0) == "0\u00a0MACs"
    assert formats.count_bytes(61.34) == "61.3\u00a0B"
    assert formats.milliseconds(1.861) == "1.86\u00a0ms"
    assert formats.milliseconds(float("inf")) == "—"
