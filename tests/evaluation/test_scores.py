import pytest

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.scores import chosen_scores, offered_scores


def test_the_learned_score_is_offered_where_a_gate_was_trained() -> None:
    assert offered_scores(has_learned=True) == ("max-softmax", "entropy", "margin", "learned")
    assert offered_scores(has_learned=False) == ("max-softmax", "entropy", "margin")


def test_auto_means_all_and_a_name_means_itself() -> None:
    assert chosen_scores("auto", has_learned=False, name="mine") == offered_scores(has_learned=False)
    assert chosen_scores("margin", has_learned=True, name="mine") == ("margin",)
    assert chosen_scores("learned", has_learned=True, name="mine") == ("learned",)


def test_scores_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="mine has no trained gate") as error:
        chosen_scores("learned", has_learned=False, name="mine")
    assert "phase trains the part `gate`" in error.value.hint
    with pytest.raises(UsageError, match="no gate score 'luck'"):
        chosen_scores("luck", has_learned=True, name="mine")
