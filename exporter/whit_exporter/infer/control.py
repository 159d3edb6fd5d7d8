"""Control flow, and operators whose size depends on data alone."""

from __future__ import annotations

from ..dtypes import DType
from ..ir import Value
from .base import Call, Type, merge, rule, unknown
from .elementwise import show_shape
from .views import numbers


@rule("if")
def _if(call: Call) -> list[Type]:
    a, b = (r.results for r in call.node.regions)
    if len(a) != len(b):
        call.fail(f"the branches give {len(a)} and {len(b)} results")
    types = []
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        if x is None or y is None:
            call.fail(f"result {k} of a branch is missing")
        if x.kind != y.kind:
            call.fail(f"result {k} is a {x.kind} in one branch and a {y.kind} in the other")
        if (
            x.dtype is not None
            and y.dtype is not None
            and x.dtype != y.dtype
            and not (x.optional or y.optional)
        ):
            call.fail(
                f"result {k} is {x.dtype.short} in one branch and {y.dtype.short} in the other"
            )
        full = y if x.producer is not None and x.producer.op == "opt_none" else x
        types.append(
            Type(full.dtype or y.dtype, merge(x.shape, y.shape), x.kind, x.optional or y.optional)
        )
    return types


def _is_true(v: Value | None) -> bool:
    return v is None or (v.const is not None and v.state is None and bool(v.const.reshape(-1)[0]))


@rule("loop")
def _loop(call: Call) -> list[Type]:
    """Fills in the attributes n_carried and scans, which describe the body."""
    node = call.node
    body, inits = node.regions[0], node.inputs[2:]
    n = len(inits)
    if len(body.params) != n + 1:
        call.fail(
            f"{n} carried values, but the body has {len(body.params)} params; it needs {n + 1}"
        )
    if len(body.results) < n + 1:
        call.fail(f"the body gives {len(body.results)} results; it needs {n + 1} or more")
    types = []
    for k, (init, p, r) in enumerate(zip(inits, body.params[1:], body.results[1:], strict=False)):
        if init is None or r is None:
            call.fail(f"carried value {k} is missing")
        if r.dtype is not None and init.dtype is not None and r.dtype != init.dtype:
            call.fail(f"carried value {k} starts as {init.dtype.short} and becomes {r.dtype.short}")
        for v, when in ((init, "starts"), (r, "goes on")):
            if merge(p.shape, v.shape) != p.shape:
                call.fail(
                    f"carried value {k} has the shape {show_shape(p.shape)} in the body but {when} as "
                    f"{show_shape(v.shape)}; the body must be made with what both have in common (infer.widen)"
                )
        types.append(Type(r.dtype or init.dtype, merge(init.shape, r.shape), p.kind, p.optional))
    endless = _is_true(call.value(1)) and _is_true(body.results[0])
    given = call.value(0) if endless else None
    trips = call.elements(0) if endless else None
    count = trips[0] if trips else None
    if given is not None and given.dtype not in (None, DType.I64):  # as often as it has rows
        count = given.shape[0] if given.shape else None
    if isinstance(count, int):
        count = max(count, 0)
    scans: list[int] = []
    for s in body.results[n + 1 :]:
        if s is None:
            call.fail("a scan output is missing")
        types.append(Type(s.dtype, None if s.shape is None else (count, *s.shape)))
        dims = None if s.shape is None else [d if isinstance(d, int) else -1 for d in s.shape]
        scans += [int(s.dtype or 0), 255] if dims is None else [int(s.dtype or 0), len(dims), *dims]
    node.attrs["n_carried"], node.attrs["scans"] = n, scans
    return types


@rule("random")
def _random(call: Call) -> list[Type]:
    items = call.elements(0)
    shape = unknown(numbers(call, 0)) if items is None else tuple(items)
    return [Type(DType(call.attr("dtype")), shape)]


@rule("nms")
def _nms(call: Call) -> list[Type]:
    return [Type(DType.I64, (None, 3))]
