"""The torch RNN, GRU or LSTM inside an exported program, and what it receives when the program runs."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.loading.torch_export.archive import Value
from aelle_core.loading.torch_export.program import AbsentError, ExportedModule, Node, Values, value_names

_LAYERS: dict[str, Callable[..., nn.RNNBase]] = {
    "torch.ops.aten.rnn_tanh.input": nn.RNN,
    "torch.ops.aten.rnn_relu.input": nn.RNN,
    "torch.ops.aten.gru.input": nn.GRU,
    "torch.ops.aten.lstm.input": nn.LSTM,
}
# Export writes every size that it did not vary into the graph, and it cannot vary the time of a recurrent layer. These
# operations do the same at any batch and time, as long as they are given tensors (a number may come from a size).
_SHAPELESS = {
    *("linear", "embedding", "layer_norm", "dropout", "alias", "detach", "contiguous"),
    *("tanh", "sigmoid", "relu", "relu_", "gelu", "silu", "add", "mul", "sub"),
    *("transpose", "permute", "t", "mT", "unsqueeze"),
}
_OF_TENSORS = {"add", "mul", "sub"}

LayerState = Tensor | tuple[Tensor, Tensor]


def recurrent_layer(
    program: ExportedModule, inputs: np.ndarray | None, name: str | None = None
) -> tuple[nn.RNNBase, Tensor, LayerState | None]:
    """Return a program's recurrent layer as a torch layer, the sequences (batch, time, features) that it receives when
    the program runs on `inputs`, and the state from which it starts (h_0 or (h_0, c_0); None for zeros).

    inputs  whatever the program's forward takes first; further inputs, such as states, are not given to it
    name    which layer of several, by its path in the exported module

    Raises UserError when there is no such layer, when it runs in two directions or with projections, or when the
    program does not run on the inputs.
    """
    calls = _calls(program)
    call = _chosen(program, calls, name)
    if inputs is None:
        raise UserError(f"no inputs for {str(program.path)!r}: expected --inputs with an .npy for its forward")
    for node in program.nodes[: program.nodes.index(call)]:
        if node.function is None and not node.outputs:  # its effect, whatever it is, would be missing
            raise UserError(f"{str(program.path)!r} calls {node.target}: expected torch's own tensor operations")
    given = _fitting(program, call, inputs)
    values = program.values({program.inputs[0].name: given}, until=call)
    arguments = {label: (kind, entry) for label, _, kind, entry in call.arguments}
    try:
        received, weights = values.argument(*arguments["input"]), values.argument(*arguments["params"])
    except AbsentError as error:
        raise UserError(
            f"{str(program.path)!r} does not tell what its recurrent layer receives on inputs {_shape(inputs)}: {error}"
        ) from error
    options = {label: entry for label, (_, entry) in arguments.items()}
    layer = _built(program, call, weights, options)
    sequences = received if options["batch_first"] else received.transpose(0, 1)
    return layer, sequences, _start(program, values, arguments["hx"], len(sequences))


def has_recurrent_layer(program: ExportedModule) -> bool:
    """Return whether the program calls a torch RNN, GRU or LSTM."""
    return bool(_calls(program))


def _calls(program: ExportedModule) -> list[tuple[str, Node]]:
    """Return the calls of recurrent layers, with the layers' paths in the module."""
    calls = []
    for node in program.nodes:
        if node.target in _LAYERS:
            weights = next(entry for label, _, _, entry in node.arguments if label == "params")
            path = program.paths.get(weights[0]["name"])  # computed weights have none
            calls.append((node.outputs[0] if path is None else path.rpartition(".")[0], node))
    return calls


def _chosen(program: ExportedModule, calls: list[tuple[str, Node]], name: str | None) -> Node:
    names = [path for path, _ in calls]
    if name is None and len(calls) == 1:
        return calls[0][1]
    if name is None:
        raise UserError(f"{str(program.path)!r} runs {len(calls)} recurrent layers: expected --layer, one of {names}")
    if names.count(name) != 1:
        raise UserError(f"layer {name!r} runs {names.count(name)} times in {str(program.path)!r}: it has {names}")
    return calls[names.index(name)][1]


def _fitting(program: ExportedModule, call: Node, inputs: np.ndarray) -> Tensor:
    """Return the inputs in the type that the program takes, of a shape that it can take."""
    if not program.inputs or not program.inputs[0].name:
        raise UserError(f"{str(program.path)!r} takes no tensor first: expected a program of a recurrent network")
    expected = program.inputs[0]
    real = expected.dtype.is_floating_point
    if not real and inputs.dtype.kind == "f":
        raise UserError(f"inputs have dtype {inputs.dtype}: {str(program.path)!r} takes {expected.dtype}")
    fixed = expected.shape
    if _shapeless(program, call):
        fixed = (*[None] * (len(fixed) - 1), fixed[-1]) if real and fixed else (None,) * len(fixed)
    fits = len(fixed) == inputs.ndim and all(
        size in (None, given) for size, given in zip(fixed, inputs.shape, strict=True)
    )
    if not fits or 0 in inputs.shape:
        wanted = Value(expected.name, expected.dtype, fixed)
        depends = "" if fixed != expected.shape else ", and its operations may depend on these sizes"
        raise UserError(f"inputs have shape {_shape(inputs)}: {str(program.path)!r} was exported for {wanted}{depends}")
    return torch.from_numpy(inputs).to(expected.dtype)


def _shapeless(program: ExportedModule, call: Node) -> bool:
    """Whether what leads from the inputs to the layer would be the same program at another batch and time."""
    before = program.nodes[: program.nodes.index(call)]
    arguments = {label: value_names(kind, entry) for label, _, kind, entry in call.arguments}
    chain = _upstream(before, arguments["input"])
    to_state = _upstream(before, arguments["hx"])
    if any(program.inputs[0].name in node.inputs for node in to_state):  # otherwise it is the same for all inputs
        chain += to_state
    return all(_is_shapeless(node) for node in chain) and all(node in chain for node in before if node.mutates)


def _upstream(nodes: list[Node], names: list[str]) -> list[Node]:
    """Return the nodes on which the named values depend, other than by the sizes that export varied."""
    needed, upstream = set(names), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs) and node.target != "torch.ops.aten.sym_size.int":
            needed.update(node.inputs)
            upstream.append(node)
    return upstream


def _is_shapeless(node: Node) -> bool:
    operation = node.target.removeprefix("torch.ops.aten.").split(".")[0]
    tensors = all(kind == "as_tensor" for _, _, kind, _ in node.arguments)
    return operation in _SHAPELESS and (tensors or operation not in _OF_TENSORS)


def _built(program: ExportedModule, call: Node, weights: list[Tensor], options: dict[str, object]) -> nn.RNNBase:
    """Return the torch layer that the call runs."""
    label = f"the recurrent layer of {str(program.path)!r}"
    if options["bidirectional"]:
        raise UserError(f"{label} is bidirectional: a spectrum needs one direction of time")
    layers, biased = int(options["num_layers"]), bool(options["has_biases"])  # type: ignore[call-overload]
    if len(weights) != layers * (4 if biased else 2):
        raise UserError(f"{label} has projections (proj_size): expected none")
    more = {"nonlinearity": "relu"} if "rnn_relu" in call.target else {}
    width, units = weights[0].shape[1], weights[1].shape[1]
    layer = _LAYERS[call.target](width, units, num_layers=layers, bias=biased, batch_first=True, **more)
    layer.to(weights[0].dtype)
    layer.load_state_dict(dict(zip(layer.state_dict(), weights, strict=True)))
    return layer


def _start(program: ExportedModule, values: Values, argument: tuple[str, object], batch: int) -> LayerState | None:
    """Return the state that the program starts from, where it does not come from a further input and is not zero."""
    try:
        start = values.argument(*argument)
    except AbsentError:
        return None
    parts = start if isinstance(start, list) else [start]
    if all(not bool(part.any()) for part in parts):
        return None
    if any(part.shape[1] != batch and not torch.equal(part, part[:, :1].expand_as(part)) for part in parts):
        raise UserError(
            f"{counted(batch, 'sequence')} {'was' if batch == 1 else 'were'} given: {str(program.path)!r} starts its "
            f"recurrent layer from the states of {parts[0].shape[1]}; expected as many, or --initial-state"
        )
    parts = [part if part.shape[1] == batch else part[:, :1].expand(-1, batch, -1) for part in parts]
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _shape(inputs: np.ndarray) -> str:
    return str(tuple(inputs.shape))
