"""Medians, spreads and ratios."""

import statistics


def cpu(result):
    return result.cpu


def front(result):
    """Of the proxy alone, without whom it asks."""
    return result.front


def rate(result):
    return result.run.rate


def p99(result):
    return result.run.p99


def middle(contender, of):
    return statistics.median(of(result) for result in contender.results)


def spread(contender, of):
    values = [of(result) for result in contender.results]
    return min(values), max(values)


def ratio(contender, reference, of=cpu):
    """The median of one by the other, each of the same round: what slows the machine slows both."""
    return statistics.median(of(mine) / of(theirs) for mine, theirs in zip(contender.results, reference.results))
