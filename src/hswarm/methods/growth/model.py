"""What is promising: a Bayesian linear model of a term's score, sampled (Thompson, Biometrika 25, 1933).

Features of a term over n experts, each between 0 and 1: how much of an expert is in it (n), whose replies reach whom
(n x n), who reads whom directly (n x n), who is the root (n), which experts are blended (n x n), its size. A term's
mean over k questions is one observation with variance `noise` / k + `misfit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hswarm.methods.growth.terms import Term

Array = NDArray[np.float64]


def features(term: Term, experts: int, nodes: int) -> Array:
    """The row of a term, shape (2 + 2 n + 3 n n,)."""
    shares, edges, reach = np.zeros((term.size, experts)), *np.zeros((2, term.size, term.size))
    number = {node: i for i, node in enumerate(term.nodes)}
    blended = np.zeros((experts, experts))
    for node, v in number.items():
        for expert, share in node.mix:
            shares[v, expert] = share
        for u in node.reads:
            edges[number[u], v] = 1
        for u in node.nodes[:-1]:
            reach[number[u], v] = 1
        if len(node.mix) > 1:
            blended = np.maximum(blended, np.minimum(1, 4 * np.outer(shares[v], shares[v])))
    np.fill_diagonal(blended, 0)
    matrices = [np.minimum(1, shares.T @ links @ shares) for links in (reach, edges)]
    parts = [np.ones(1), shares.max(axis=0), shares[-1], *(m.ravel() for m in [*matrices, np.triu(blended)])]
    return np.concatenate([*parts, [term.size / max(1, nodes)]])


@dataclass
class Model:
    """The posterior of the weights, by `fit`; a term that was never seen is `predict`ed or `sample`d."""

    experts: int
    nodes: int
    noise: float = 0.25
    misfit: float = 0.01
    prior: float = 0.15
    _rows: dict[Term, Array] = field(default_factory=dict)
    _known: list[Term] = field(default_factory=list)
    _mean: Array = field(init=False)
    _root: Array = field(init=False)  # the Cholesky factor of the posterior's precision

    def __post_init__(self) -> None:
        size = 2 + 2 * self.experts + 3 * self.experts**2
        self._mean, self._root = np.zeros(size), np.eye(size) / self.prior

    def rows(self, terms: Sequence[Term]) -> Array:
        """Features, shape (terms, features). Those of the terms with scores and of the last sample are kept."""
        for term in terms:
            if term not in self._rows:
                self._rows[term] = features(term, self.experts, self.nodes)
        return np.stack([self._rows[term] for term in terms])

    def fit(self, scores: Mapping[Term, Array]) -> None:
        """Learn from the scores of terms, question by question; those without any are left out."""
        known = [term for term, row in scores.items() if np.isfinite(row).any()]
        if not known:
            return
        self._known = known
        means = np.array([np.nanmean(scores[term]) for term in known])
        counts = np.array([np.isfinite(scores[term]).sum() for term in known])
        weights = 1 / (self.noise / counts + self.misfit)
        rows = self.rows(known)
        precision = (rows * weights[:, None]).T @ rows
        precision[np.diag_indices_from(precision)] += 1 / self.prior**2
        self._root = np.asarray(np.linalg.cholesky(precision), dtype=np.float64)
        half = np.linalg.solve(self._root, rows.T @ (weights * means))
        self._mean = np.asarray(np.linalg.solve(self._root.T, half), dtype=np.float64)

    def predict(self, terms: Sequence[Term]) -> Array:
        """Expected scores, shape (terms,)."""
        return self.rows(terms) @ self._mean

    def sample(self, terms: Sequence[Term], draws: int, rng: np.random.Generator) -> Array:
        """Scores under so many weights drawn from the posterior, shape (terms, draws)."""
        noise = np.linalg.solve(self._root.T, rng.standard_normal((len(self._mean), draws)))
        rows = self.rows(terms)
        self._rows = {term: self._rows[term] for term in (*self._known, *terms)}
        return rows @ (self._mean[:, None] + noise)
