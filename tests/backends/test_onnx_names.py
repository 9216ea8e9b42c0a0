"""What operators and tensors of the float graph are called."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ecc_deploy.backends.onnx_graph import SCOPES, module_of, name_operators, nodes_of, to_onnx
from ecc_deploy.backends.onnx_graph import _name_module_outputs as name_module_outputs
from ecc_deploy.partition.halves import EXIT_AND_ENCODE, halves_of
from ecc_deploy.training.run import load_run


@pytest.fixture(scope="module")
def graph(gated_run: Path) -> onnx.ModelProto:
    return to_onnx(halves_of(load_run(gated_run).system, 10, learned_gate=True).sources[EXIT_AND_ENCODE])


def test_operators_are_named_after_their_modules(graph: onnx.ModelProto) -> None:
    names = [node.name for node in graph.graph.node]
    assert len(set(names)) == len(names)
    for node in graph.graph.node:
        assert node.name.startswith(f"{module_of(node)}/{node.op_type}_")
    again = onnx.ModelProto()
    again.CopyFrom(graph)
    name_operators(again)
    assert again == graph


def test_what_a_module_gives_has_its_name(graph: onnx.ModelProto) -> None:
    made = {name: node for node in graph.graph.node for name in node.output}
    assert made["stages.stem.1/output"].op_type == "Conv"
    assert made["stages.stem.2/output"].op_type == "Relu"
    assert made["stages.stage1.0.relu/output"].op_type == "Relu"
    sums = [node for node in graph.graph.node if node.op_type == "Add" and module_of(node) == "stages.stage1.0"]
    assert [name for node in sums for name in node.output if name.endswith("/output")] == []  # inside the block
    assert {value.name for value in graph.graph.output} == {"logits", "boundary_float", "confidence"}
    onnx.checker.check_model(graph, full_check=True)


def test_a_folded_convolution_is_found_by_either_name(graph: onnx.ModelProto) -> None:
    convolution, norm = nodes_of(graph, ["stages.stem.0"]), nodes_of(graph, ["stages.stem.1"])
    assert convolution == norm
    assert len(norm) == 1
    assert set(convolution) < set(nodes_of(graph, ["stages.stem"]))


def node(kind: str, inputs: list[str], outputs: list[str], path: str | None, **attributes: object) -> onnx.NodeProto:
    made = helper.make_node(kind, inputs, outputs, name=f"node_{outputs[0]}", **attributes)
    if path is not None:
        entry = made.metadata_props.add()
        entry.key, entry.value = SCOPES, repr(["", path, "op"])
    return made


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    return helper.make_model(helper.make_graph(list(nodes), "half", ends[:1], ends[1:]))


def test_next_to_branches_names_are_left_alone() -> None:
    """Their bodies read tensors of the graph around them by name."""
    body = helper.make_graph(
        [helper.make_node("Neg", ["a"], ["b"])], "body", [], [helper.make_empty_tensor_value_info("b")]
    )
    branch = node("If", ["flag"], ["y"], "choice", then_branch=body, else_branch=body)
    made = model(node("Relu", ["x"], ["a"], "act"), branch)
    name_module_outputs(made)
    assert made.graph.node[0].output == ["a"]


@pytest.mark.parametrize("path", [None, "_empty_nn_module_stack_from_metadata_hook"])
def test_where_nothing_tells_who_reads_it_a_tensor_has_no_name(path: str | None) -> None:
    made = model(node("Relu", ["x"], ["a"], "act"), node("Neg", ["a"], ["y"], path))
    name_module_outputs(made)
    assert made.graph.node[0].output == ["a"]
    known = model(node("Relu", ["x"], ["a"], "act"), node("Neg", ["a"], ["y"], ""))
    name_module_outputs(known)
    assert known.graph.node[0].output == ["act/output"]
    assert known.graph.node[1].input == ["act/output"]
