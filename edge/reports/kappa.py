"""Agreement of appraisers on categories: Cohen's and Fleiss' kappa, and shares with exact intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, sqrt

Z_95 = 1.959964
"""97.5 % quantile of the normal distribution."""
ALPHA = 0.05


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def cohens_kappa(first: Sequence[str], second: Sequence[str]) -> Estimate | None:
    """Cohen's kappa of two appraisers, unweighted; None where chance alone agrees fully (one category only).

    J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20 (1960),
    equation 1. The interval is value +- 1.96 standard errors by J. L. Fleiss, J. Cohen, B. S. Everitt, Large sample
    standard errors of kappa and weighted kappa, Psychological Bulletin 72 (1969), equation 13.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"found {len(first)} and {len(second)} ratings, expected as many of both, at least one")
    names = sorted({*first, *second})
    count = len(first)
    pairs = list(zip(first, second, strict=True))
    p = {(a, b): pairs.count((a, b)) / count for a in names for b in names}
    row = {a: sum(p[a, b] for b in names) for a in names}
    column = {b: sum(p[a, b] for a in names) for b in names}
    observed, expected = sum(p[a, a] for a in names), sum(row[a] * column[a] for a in names)
    if expected >= 1:
        return None
    kappa = (observed - expected) / (1 - expected)
    on_diagonal = sum(p[a, a] * (1 - (row[a] + column[a]) * (1 - kappa)) ** 2 for a in names)
    off_diagonal = sum(p[a, b] * (column[a] + row[b]) ** 2 for a in names for b in names if a != b)
    variance = on_diagonal + (1 - kappa) ** 2 * off_diagonal - (kappa - expected * (1 - kappa)) ** 2
    return _interval(kappa, sqrt(max(0.0, variance) / count) / (1 - expected))


def fleiss_kappa(ratings: Sequence[Sequence[str]]) -> Estimate | None:
    """Fleiss' kappa of several ratings of each part, as many of every part; None with one category only.

    ratings: one sequence for each part. J. L. Fleiss, Measuring nominal scale agreement among many raters,
    Psychological Bulletin 76 (1971), equations 3 to 7. The interval is value +- 1.96 standard errors by J. L. Fleiss,
    J. C. M. Nee, J. R. Landis, Large sample variance of kappa in the case of different sets of raters, Psychological
    Bulletin 86 (1979), equation 12: it is that of no agreement, as statistics programs report it.
    """
    each = {len(one) for one in ratings}
    if len(each) != 1 or min(each) < 2:
        raise ValueError(f"found {sorted(each)} ratings of a part, expected as many of every part, at least two")
    parts, raters = len(ratings), each.pop()
    names = sorted({name for one in ratings for name in one})
    share = {name: sum(list(one).count(name) for one in ratings) / (parts * raters) for name in names}
    agreed = [(sum(list(one).count(name) ** 2 for name in names) - raters) / (raters * (raters - 1)) for one in ratings]
    observed, expected = sum(agreed) / parts, sum(p * p for p in share.values())
    if expected >= 1:
        return None
    spread = sum(p * (1 - p) for p in share.values())
    skew = sum(p * (1 - p) * (1 - 2 * p) for p in share.values())
    error = sqrt(2) * sqrt(max(0.0, spread**2 - skew)) / (spread * sqrt(parts * raters * (raters - 1)))
    return _interval((observed - expected) / (1 - expected), error)


def share_of(count: int, whole: int) -> Estimate:
    """Share with the exact interval of C. J. Clopper and E. S. Pearson, Biometrika 26 (1934)."""
    if not 0 <= count <= whole or not whole:
        raise ValueError(f"found {count} of {whole}, expected a share")
    low = 0.0 if count == 0 else _root(lambda p: _at_least(count, whole, p) - ALPHA / 2)
    high = 1.0 if count == whole else _root(lambda p: ALPHA / 2 - (1 - _at_least(count + 1, whole, p)))
    return Estimate(count / whole, low, high)


def wilson_share(count: int, whole: int) -> Estimate:
    """Share with the score interval of E. B. Wilson, JASA 22 (1927), also of a million parts."""
    if not 0 <= count <= whole or not whole:
        raise ValueError(f"found {count} of {whole}, expected a share")
    share, weight = count / whole, Z_95**2 / whole
    middle, half = share + weight / 2, sqrt(weight * (share * (1 - share) + weight / 4))
    low = max(0.0, (middle - half) / (1 + weight)) if count else 0.0
    high = min(1.0, (middle + half) / (1 + weight)) if count < whole else 1.0
    return Estimate(share, low, high)


def _interval(value: float, error: float) -> Estimate:
    return Estimate(value, max(-1.0, value - Z_95 * error), min(1.0, value + Z_95 * error))


def _at_least(count: int, whole: int, p: float) -> float:
    """Probability of `count` or more of `whole`."""
    return sum(comb(whole, k) * p**k * (1 - p) ** (whole - k) for k in range(count, whole + 1))


def _root(rising: Callable[[float], float]) -> float:
    """Zero of a rising function between 0 and 1, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
