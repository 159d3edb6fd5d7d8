from .ir import Graph


def verify(graph: Graph) -> None:
    pass
