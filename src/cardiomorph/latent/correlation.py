"""Rank correlations and their Cholesky factors, with every repair measured.

Kendall's tau-b (Kendall, Biometrika 33, 1945). The sine transform sin(pi tau / 2) is the Pearson correlation of the
Gaussian copula with that tau (Kruskal, JASA 53, 1958). A correlation matrix estimated from few numbers may have
eigenvalues at or below zero; then its eigenvalues are raised to a floor and the diagonal set back to one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

EIGENVALUE_FLOOR = 1e-4
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class MatrixDiagnostics:
    """What a correlation matrix was like, and what had to be done to it."""

    size: int
    rank: int
    smallest_eigenvalue: float
    condition: float | None
    repaired: bool
    repair_frobenius: float
    repair_largest: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def kendall_matrix(samples: NDArray[np.floating]) -> Matrix:
    """Kendall's tau-b between the columns of (n, p) samples, (p, p).

    A constant column has no ranks: its correlation with others is set to 0.
    """
    rows, columns = np.triu_indices(len(samples), 1)
    signs = np.sign(samples[rows] - samples[columns]).astype(np.float32)
    products = (signs.T @ signs).astype(np.float64)
    untied = np.sqrt(np.diag(products))
    scale = np.outer(untied, untied)
    tau = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    np.fill_diagonal(tau, 1.0)
    return tau


def sine_transform(tau: Matrix) -> Matrix:
    """Pearson correlation of the Gaussian copula with Kendall correlation ``tau``."""
    rho = np.sin(0.5 * np.pi * tau)
    np.fill_diagonal(rho, 1.0)
    return rho


def positive_definite(matrix: Matrix, floor: float = EIGENVALUE_FLOOR) -> tuple[Matrix, MatrixDiagnostics]:
    """The matrix itself if all its eigenvalues reach ``floor``, else a repaired one; and what was found."""
    values, vectors = np.linalg.eigh(matrix)
    repaired = bool(values[0] < floor)
    result: Matrix = matrix
    if repaired:
        raised = (vectors * np.maximum(values, floor)) @ vectors.T
        scale = 1.0 / np.sqrt(np.diag(raised))
        result = raised * np.outer(scale, scale)
    change = result - matrix
    return result, MatrixDiagnostics(
        size=len(matrix),
        rank=int(np.linalg.matrix_rank(matrix, hermitian=True)),
        smallest_eigenvalue=float(values[0]),
        condition=float(values[-1] / values[0]) if values[0] > 0 else None,
        repaired=repaired,
        repair_frobenius=float(np.linalg.norm(change)),
        repair_largest=float(np.abs(change).max()),
    )


def cholesky(matrix: Matrix) -> tuple[Matrix, MatrixDiagnostics]:
    """Lower Cholesky factor of the (repaired) matrix, and what the repair was."""
    repaired, diagnostics = positive_definite(matrix)
    return np.asarray(np.linalg.cholesky(repaired), np.float64), diagnostics
