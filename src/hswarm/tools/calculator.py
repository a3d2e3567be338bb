"""A calculator: works out the last calculation in a text, exactly."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from hswarm.tools.base import tool

_LONGEST = 1000  # characters of a calculation
_LARGEST_BITS = 1000  # of a number on the way: what a float can still hold
_RUN = re.compile(r"[-+(]*[\d.][\d.+\-*/^() \t]*")
_SIGNS = str.maketrans({"\xd7": "*", "\xb7": "*", "\xf7": "/", "\u2212": "-", "\u2013": "-", "^": "**"})
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
}


@tool("calculator", "Works out the last calculation in the text: + - * / ^ and brackets")
def calculator(text: str) -> str:
    """The value; 12 digits where it is not whole. ValueError: there is no calculation, or it has no such value."""
    return _shown(_value(_last_calculation(text)))


def _last_calculation(text: str) -> ast.expr:
    """The last run of numbers and signs that can be read and holds an operation, else the last number."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<=[\d)])\s*[xX]\s*(?=[\d(])", "*", text).translate(_SIGNS)
    runs = [run.strip().rstrip("+-*/(.") for run in _RUN.findall(text)]
    if any(len(run) > _LONGEST for run in runs):
        raise ValueError(f"a calculation has at most {_LONGEST} characters")
    read = [found for run in runs if (found := _read(run))]
    if not read:
        raise ValueError("there is no calculation in the text")
    return next((found for found in reversed(read) if isinstance(found, ast.BinOp)), read[-1])


def _read(run: str) -> ast.expr | None:
    try:
        return ast.parse(re.sub(r"(?<![\d.])0+(?=\d)", "", run), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        made = Fraction(repr(node.value))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        made = _value(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        made = _power(_value(node.left), _value(node.right))
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if not right and isinstance(node.op, ast.Div | ast.FloorDiv):
            raise ValueError("division by zero")
        made = _OPERATORS[type(node.op)](left, right)
    else:
        raise ValueError("only numbers, + - * / ^ and brackets can be worked out")
    if max(made.numerator.bit_length(), made.denominator.bit_length()) > _LARGEST_BITS:
        raise ValueError("the number is too large")
    return made


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or not base:
        if base < 0 or (not base and exponent <= 0):
            raise ValueError("this power has no value")
        return Fraction(float(base) ** float(exponent))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > _LARGEST_BITS and abs(base) != 1:
        raise ValueError("the number is too large")
    return base ** int(exponent)


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.12g}"
