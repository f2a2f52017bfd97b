"""Curves of a loss over minutes, [(minutes, loss)] from left to right: what two of them say about each other. A training keeps
its best model, so a curve means the best loss so far, in a straight line from one to the next."""


def best(curve):
    """The curve without what is worse than what came before."""
    kept = []
    for minutes, loss in curve:
        if not kept or loss < kept[-1][1]:
            kept.append((minutes, loss))
    return kept


def between(x, x0, y0, x1, y1):
    return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def loss_at(curve, minutes):
    """And whether the curve goes that far; beyond, the best there was. Before its first point, that one's."""
    kept = best(curve)
    if minutes < kept[0][0]:
        return kept[0][1], True
    for (x0, y0), (x1, y1) in zip(kept, kept[1:]):
        if minutes <= x1:
            return between(minutes, x0, y0, x1, y1), True
    return kept[-1][1], minutes <= curve[-1][0]


def minutes_to(curve, loss):
    """And whether the curve gets there; else all of its minutes."""
    kept = best(curve)
    if kept[0][1] <= loss:
        return kept[0][0], True
    for (x0, y0), (x1, y1) in zip(kept, kept[1:]):
        if y1 <= loss:
            return between(loss, y0, x0, y1, x1), True
    return curve[-1][0], False
