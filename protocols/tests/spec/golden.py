"""The golden words of requirement R7, computed a second time: exact decimals for e^x, Python's doubles for the rows.

    python3 golden.py      prints what protocols/src/rep3/{lookup,exp}.rs assert
"""
import math
from decimal import Decimal, getcontext
from fractions import Fraction

MASK = (1 << 64) - 1
LOW = [(i * 0x9E3779B97F4A7C15) & MASK for i in range(97)]
getcontext().prec = 80


def fnv(words):
    h = 0xCBF29CE484222325
    for word in words:
        for byte in (word & MASK).to_bytes(8, "little"):
            h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def nearest(x):
    """halves away from zero"""
    n = abs(Fraction(x)) + Fraction(1, 2)
    return (n.numerator // n.denominator) * (1 if x >= 0 else -1)


def rows(d, scale):
    cells = [[(int(math.fmod(7 * e + 3 * j, 11)) - 5) / float(3 * j + 1 + e) for j in range(6)] for e in range(4)]
    low = [l & ((1 << d) - 1) for l in LOW]
    out = []
    for i in range(6):
        for a in cells:
            weights = [a[j] * float(math.comb(j, i)) for j in range(i, 6)]
            for l in low:
                b, q = l / float(1 << d) - 0.5, 0.0
                for w in reversed(weights):
                    q = q * b + w
                out.append(nearest(q * 2.0**scale))
    first = [l - (1 << (d - 1)) for l in low]
    first = [c << (scale - d) if scale >= d else c >> (d - scale) for c in first]
    power = [1 << scale] * len(low)
    out += power
    for _ in range(5):
        power = [(x * a + (1 << (scale - 1))) >> scale for x, a in zip(power, first)]
        out += power
    return fnv(out)


def exponentials(f, lo, width, log2_cells, pair, row, cell):
    exp = lambda n, d, scale: int((Decimal(n) / Decimal(d)).exp() * Decimal(2) ** scale)
    factors = [exp(1 << j, 1 << f, 40) for j in range(f + width)]
    cells = [exp(lo + (e << width), 1, cell) for e in [*range((1 << log2_cells) - 1), -1]]

    def low(l):
        acc = 1 << 40
        for j, factor in enumerate(factors):
            if l >> j & 1:
                acc = acc * factor >> 40
        return acc

    lows = [low(l % (1 << (f + width))) for l in LOW]
    shift = 40 + cell - row
    table = [(l * c + (1 << (shift - 1))) >> shift for c in cells for l in lows]
    return fnv(factors + cells + table + [(l + (1 << (39 - pair))) >> (40 - pair) for l in lows])


for d, scale in (17, 24), (31, 26), (22, 29):
    print("rows", d, scale, hex(rows(d, scale)))
for f in 16, 18, 20:
    negative = exponentials(f, -239, 4, 4, 18, 41, 80)
    below_one = exponentials(f, -23, 3, 2, f + 2, f + 12, 72)
    print("exponentials", f, hex(negative), hex(exponentials(f, -16, 2, 3, 18, 26, 52)), hex(below_one))
