"""The code on the page a user of rapyer starts from."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["DEFINE", "GROUPS", "INIT", "PAGE", "PER_MODEL", "SET_TTL", "TOKEN", "USER_SESSION"]

PAGE = Path(__file__).parent / "seed" / "model-lifecycle.md"


def _is_code(paragraph: str) -> bool:
    try:
        tree = compile(paragraph, "page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    except SyntaxError:
        return False
    assert isinstance(tree, ast.Module)
    # Some headings are expressions to Python, but none of them does anything.
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Await) for node in tree.body)


def _blocks() -> list[str]:
    """The page has no fences: a block is what stands between two paragraphs that are not Python."""
    blocks: list[list[str]] = [[]]
    for paragraph in PAGE.read_text().split("\n\n"):
        if _is_code(paragraph):
            blocks[-1].append(paragraph)
        elif blocks[-1]:
            blocks.append([])
    return ["\n\n".join(block) for block in blocks if block]


DEFINE, INIT, PER_MODEL, GROUPS, USER_SESSION, TOKEN, SET_TTL = _blocks()
