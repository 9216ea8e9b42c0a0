"""Whose output a tensor is, on graphs written by hand. Each operator: its maker, all its modules, inputs, output."""

from ecc_deploy.backends.scopes import Operator, inside, module_outputs


def operator(maker: str | None, inputs: str, output: str, *parts: str) -> Operator:
    modules = parts if parts or maker is None else (maker,)
    return Operator(maker, frozenset(modules), tuple(inputs.split()), tuple(output.split()))


def test_each_step_of_a_chain_is_its_own_modules() -> None:
    chain = [operator("body.0", "image", "a"), operator("body.1", "a", "b"), operator("head", "b", "logits")]
    assert module_outputs(chain, {"logits"}) == {"a": "body.0", "b": "body.1", "logits": "head"}


def test_what_was_fused_belongs_to_the_last_module() -> None:
    fused = [operator("body.2", "image", "a", "body.0", "body.2"), operator("head", "a", "logits")]
    assert module_outputs(fused, {"logits"})["a"] == "body.2"


def test_steps_inside_a_module_are_not_its_output() -> None:
    swish = [
        operator("act", "x", "shifted"),
        operator("act", "shifted", "clipped"),
        operator("act", "x clipped", "y"),
        operator("head", "y", "logits"),
    ]
    assert module_outputs(swish, {"logits"}) == {"y": "act", "logits": "head"}


def test_a_sum_before_an_activation_is_inside_its_block() -> None:
    block = [
        operator("block.conv", "x", "a"),
        operator("block", "a x", "sum"),
        operator("block.relu", "sum", "y"),
        operator("head", "y", "logits"),
    ]
    found = module_outputs(block, {"logits"})
    assert "sum" not in found
    assert found["y"] == "block.relu"


def test_a_value_that_is_used_inside_too_is_not_taken() -> None:
    """Padding of a convolution that another convolution shares is not what the first one gives."""
    shared = [
        operator("a.conv", "x", "padded"),
        operator("a.relu", "padded", "y", "a.conv", "a.relu"),
        operator("b.relu", "padded", "z", "b.conv", "b.relu"),
        operator("head", "y z", "logits"),
    ]
    assert "padded" not in module_outputs(shared, {"logits"})


def test_two_tensors_that_leave_a_module_are_nobodys_but_one_may_be_its_parents() -> None:
    split = [
        operator("block.split", "x", "a b"),
        operator("block", "a b", "y"),
        operator("head", "y", "logits"),
    ]
    assert module_outputs(split, {"logits"}) == {"y": "block", "logits": "head"}
    outer = [
        operator("block.split", "x", "a b"),
        operator("block.use", "a", "c"),
        operator("block", "c", "used"),
        operator("head", "b", "logits"),
    ]
    assert module_outputs(outer, {"logits"})["b"] == "block"


def test_where_a_user_is_unknown_there_is_no_answer() -> None:
    lost = [operator("act", "x", "half"), operator(None, "half x", "logits")]
    assert module_outputs(lost, {"logits"}) == {}


def test_a_part_is_told_from_a_namesake() -> None:
    assert inside("stage1.0", "stage1")
    assert inside("stage1", "stage1")
    assert not inside("stage10", "stage1")
