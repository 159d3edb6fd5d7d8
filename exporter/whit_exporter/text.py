from .ir import Graph


def dump(graph: Graph) -> str:
    return ""
