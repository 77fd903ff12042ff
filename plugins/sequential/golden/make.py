"""Writes golden.json: what exact arithmetic and scipy say about the same windows.

Independent of the plugin's code: binomial coefficients are exact integers, sums are mpmath's with 60 digits, and scipy's Fisher
noncentral hypergeometric distribution confirms the likelihoods where it is exact enough. Needs scipy and mpmath.
    python make.py > golden.json
"""

import json
import math

import mpmath
from scipy.stats import nchypergeom_fisher

mpmath.mp.dps = 60

ALTERNATIVES = [1.5, 2, 3, 5, 10, 20]
GRID = [mpmath.mpf(32) ** (mpmath.mpf(k) / 20) for k in range(-20, 21)]

# canary requests, canary bad, stable requests, stable bad
TABLES = [
    (1, 1, 1, 0),
    (50, 0, 950, 2),
    (50, 1, 950, 2),
    (50, 3, 950, 0),
    (50, 50, 950, 28),
    (500, 260, 500, 245),
    (20, 20, 30, 29),
    (7, 2, 12, 12),
    (12_000, 35, 100_000, 190),
    (3_000, 1_500, 9_000, 4_480),
    (100_000, 1_000, 900_000, 9_300),
]

SEQUENCES = {
    "healthy": [(50, 0, 950, 2), (52, 0, 940, 1), (48, 1, 960, 3), (55, 0, 955, 0), (49, 0, 930, 2)] * 6,
    "twice as bad": [(100, 2, 900, 9), (110, 3, 890, 8), (95, 2, 905, 10)] * 10,
    "broken": [(50, 9, 950, 2), (50, 14, 950, 1), (50, 11, 950, 3)],
    "shared outage": [(50, 0, 950, 2), (50, 14, 950, 290), (50, 16, 950, 280), (50, 15, 950, 301), (50, 0, 950, 1)],
}

# theta0, thetaMax, dispersion
SETTINGS = [(1.0, 2.0, 1.0), (1.25, 2.0, 1.0), (1.25, 3.0, 2.5)]
ALPHA = 0.05


def log_likelihood(table, theta):
    """ln P(canary bad | margins, theta), exactly."""
    n_c, e_c, n_s, e_s = table
    bad = e_c + e_s
    lowest, highest = max(0, bad - n_s), min(n_c, bad)
    term = math.comb(n_c, lowest) * math.comb(n_s, bad - lowest)
    theta = mpmath.mpf(theta)
    total, seen = mpmath.mpf(0), None
    for x in range(lowest, highest + 1):
        weight = mpmath.mpf(term) * theta**x
        total += weight
        if x == e_c:
            seen = weight
        term = term * (n_c - x) * (bad - x) // ((x + 1) * (n_s - bad + x + 1))
    return mpmath.log(seen / total)


def log_ratio(table, theta, against):
    ratio = log_likelihood(table, theta) - log_likelihood(table, against)
    n_c, e_c, n_s, e_s = table
    if n_c + n_s <= 1_000:
        scipy_ratio = nchypergeom_fisher.logpmf(e_c, n_c + n_s, n_c, e_c + e_s, theta) - nchypergeom_fisher.logpmf(
            e_c, n_c + n_s, n_c, e_c + e_s, against
        )
        assert abs(scipy_ratio - ratio) < 1e-6 * (1 + abs(ratio)), (table, theta, scipy_ratio, ratio)
    return ratio


def log_mean(logs):
    return mpmath.log(sum(mpmath.exp(value) for value in logs) / len(logs))


def follow(windows, theta0, theta_max, dispersion):
    worse = [mpmath.mpf(0)] * len(ALTERNATIVES)
    not_worse = [mpmath.mpf(0)] * len(ALTERNATIVES)
    profile = [mpmath.mpf(0)] * len(GRID)
    smallest_p = mpmath.mpf(1)
    steps = []
    cache = {}
    for table in windows:
        if table not in cache:
            cache[table] = (
                [log_ratio(table, theta0 * r, theta0) / dispersion for r in ALTERNATIVES],
                [log_ratio(table, theta_max / r, theta_max) / dispersion for r in ALTERNATIVES],
                [log_likelihood(table, theta) / dispersion for theta in GRID],
            )
        for sums, added in zip((worse, not_worse, profile), cache[table]):
            for k, value in enumerate(added):
                sums[k] += value
        smallest_p = min(smallest_p, mpmath.exp(-log_mean(worse)))
        mixture = log_mean(profile)
        kept = [k for k in range(len(GRID)) if mixture - profile[k] < -mpmath.log(ALPHA)]
        lower, upper = kept[0] - 1, kept[-1] + 1
        steps.append(
            {
                "worse": float(log_mean(worse)),
                "not_worse": float(log_mean(not_worse)),
                "p": float(smallest_p),
                "lower": float(GRID[lower]) if lower >= 0 else None,
                "upper": float(GRID[upper]) if upper < len(GRID) else None,
            }
        )
    return steps


tables = [
    {"table": table, "theta": theta, "against": against, "log_ratio": float(log_ratio(table, theta, against))}
    for table in TABLES
    for theta, against in [(1.5, 1.0), (20, 1.0), (2.5, 1.25), (0.1, 2.0)]
]
sequences = [
    {
        "name": name,
        "windows": windows,
        "theta0": theta0,
        "theta_max": theta_max,
        "dispersion": dispersion,
        "alpha": ALPHA,
        "steps": follow(windows, theta0, theta_max, dispersion),
    }
    for name, windows in SEQUENCES.items()
    for theta0, theta_max, dispersion in SETTINGS
]
print("{")
print('"tables": [')
print(",\n".join(json.dumps(table) for table in tables))
print('],\n"sequences": [')
print(",\n".join(json.dumps(sequence) for sequence in sequences))
print("]\n}")
