"""The one fill model, of paper and of backtests: where orders, stops and targets fill, and what that costs.

Written once for ``Decimal``, for floats and for numba: nothing but arithmetic and comparisons, so that the same
function is called with money, called with floats, and compiled with ``numba.njit``. ``side`` is +1 for a purchase or
a long position, -1 for a sale or a short one. Prices are in quote currency, rates are fractions, and a level of 0 is
off. What cannot be compiled, such as rounding to a venue's steps, is left to the caller.

Inside a bar the order is: what was pending at the open, then the stop (also on the bar of the entry), then the target.
"""

from __future__ import annotations

from decimal import Decimal


def market_fill[N: (Decimal, float)](price: N, side: int, slippage: N) -> N:
    """What a market order pays or gets: ``price`` with the slippage against it."""
    return price * (1 + side * slippage)


def fee_of[N: (Decimal, float)](quantity: N, price: N, fee: N, commission: N) -> N:
    """What a fill costs besides its price, in quote currency. ``quantity`` is positive, ``fee`` a share of the sum."""
    return quantity * price * fee + commission


def all_in_units[N: (Decimal, float)](equity: N, fill: N, fee: N) -> N:
    """What ``equity`` buys at ``fill`` when nothing is to be left but the fee on it."""
    return equity / (fill * (1 + fee))


def bracket[N: (Decimal, float)](side: int, fill: N, stop_fraction: N, target_fraction: N) -> tuple[N, N]:
    """Stop and target around the average price of the fills; a fraction of 0 gives a level of 0, which is off."""
    stop = fill * (1 - side * stop_fraction) if stop_fraction > 0 else fill * 0
    target = fill * (1 + side * target_fraction) if target_fraction > 0 else fill * 0
    return stop, target


def stop_touched[N: (Decimal, float)](side: int, stop: N, low: N, high: N) -> bool:
    """Whether a bar reached the stop of a position; asked only of a stop that is on."""
    return low <= stop if side > 0 else high >= stop


def target_touched[N: (Decimal, float)](side: int, target: N, low: N, high: N) -> bool:
    """Whether a bar reached the target of a position; asked only of a target that is on."""
    return high >= target if side > 0 else low <= target


def stop_price_at[N: (Decimal, float)](side: int, stop: N, open_: N) -> N:
    """Where a stop that was touched becomes a market order: at its level, or at the open of a bar that begins beyond.

    The fill is this with slippage: ``market_fill(stop_price_at(...), -side, slippage)``.
    """
    if side > 0:
        return stop if stop < open_ else open_
    return stop if stop > open_ else open_


def target_price_at[N: (Decimal, float)](side: int, target: N, open_: N) -> N:
    """Where a target that was touched fills: at its level, or better at the open of a bar that begins beyond.

    A target is a limit order: it fills here, without slippage and with the fee.
    """
    if side > 0:
        return target if target > open_ else open_
    return target if target < open_ else open_


def maintenance_margin[N: (Decimal, float)](units: N, entry: N, leverage: N, rate: N) -> N:
    """The equity that a position must not fall below: a share ``rate`` of its initial margin.

    0, which is none, at a leverage of 1 or less: nothing was lent.
    """
    return units * entry / leverage * rate if leverage > 1 else units * 0


def liquidation_price[N: (Decimal, float)](side: int, entry: N, units: N, balance: N, maintenance: N) -> N:
    """The price at which losses have eaten ``balance`` down to the ``maintenance`` margin; ``units`` is positive.

    0, which is none, where nothing has to be maintained, and where no price is low enough.
    """
    price = entry - side * (balance - maintenance) / units
    return price if maintenance > 0 and price > 0 else entry * 0
