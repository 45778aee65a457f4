"""Torch's operations by what is done with them: moved about, computed number by number, or chained."""

# fmt: off
MOVING = frozenset((
    "_to_copy", "_unsafe_view", "alias", "cat", "clone", "contiguous", "copy", "diag_embed", "diagonal", "expand",
    "fill", "flip", "gather", "index", "index_put", "index_select", "lift_fresh", "lift_fresh_copy", "permute",
    "repeat", "reshape", "roll", "select", "select_scatter", "slice", "slice_scatter", "split", "split_with_sizes",
    "squeeze", "stack", "t", "take", "to", "transpose", "tril", "triu", "unbind", "unfold", "unsqueeze", "view",
    "_reshape_alias", "select_copy", "slice_copy", "view_copy", "permute_copy", "transpose_copy", "expand_copy",
    "unsqueeze_copy", "squeeze_copy", "t_copy", "alias_copy", "diagonal_copy", "unbind_copy", "split_copy",
    "split_with_sizes_copy", "unfold_copy", "unsafe_split", "unsafe_chunk", "diagonal_scatter",
))
"""What moves numbers about; it is run on their places."""

POINTWISE: dict[str, tuple[str, tuple[int, ...] | None]] = {
    "add": ("add", (0, 1)), "sub": ("sub", (0, 1)), "rsub": ("sub", (1, 0)), "mul": ("mul", (0, 1)),
    "div": ("div", (0, 1)), "maximum": ("maximum", (0, 1)), "minimum": ("minimum", (0, 1)),
    "atan2": ("atan2", (0, 1)), "where": ("where", (0, 1, 2)),
    "gt": ("gt", (0, 1)), "lt": ("lt", (0, 1)), "ge": ("ge", (0, 1)), "le": ("le", (0, 1)), "eq": ("eq", (0, 1)),
    "ne": ("ne", (0, 1)), "logical_and": ("mul", (0, 1)), "bitwise_and": ("mul", (0, 1)),
    "logical_or": ("maximum", (0, 1)), "bitwise_or": ("maximum", (0, 1)),
    **{name: (name, (0,)) for name in (
        "neg", "abs", "relu", "reciprocal", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan",
        "sinh", "cosh", "tanh", "sigmoid", "atan", "asin", "acos", "erf", "sign", "sgn", "floor", "ceil",
    )},
}
"""Operation -> the rule for single numbers, and the places of its operands."""
# fmt: on

CHAINED = {"amax": "maximum", "amin": "minimum", "prod": "mul"}
"""Reductions that are made of one operation after another."""

STILL = frozenset(("gt", "lt", "ge", "le", "eq", "ne", "sign", "sgn", "floor", "ceil"))
"""What does not change where the state changes a little."""

EXACT = STILL | {"copy", "neg", "abs", "relu", "maximum", "minimum", "where"}
"""What rounds nothing."""
