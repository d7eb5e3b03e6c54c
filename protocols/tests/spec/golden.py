"""The golden words of requirement R7, computed a second time: exact decimals for e^x, Python's doubles for the rows, an AES for keys.

    python3 golden.py      prints what protocols/src/rep3/{lookup,exp,dcf/key}.rs assert
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


def aes128(key):
    """FIPS 197; a function of 16 bytes"""
    xtime = lambda a: (a << 1 ^ (0x11B if a & 0x80 else 0)) & 0xFF

    def mul(a, b):
        r = 0
        while b:
            r, a, b = r ^ (a if b & 1 else 0), xtime(a), b >> 1
        return r

    box = []
    for a in range(256):
        inverse = next((b for b in range(256) if mul(a, b) == 1), 0)
        box.append(0x63 ^ inverse ^ (r := inverse << 1 | inverse >> 7) & 0xFF ^ (inverse << 2 | inverse >> 6) & 0xFF
                   ^ (inverse << 3 | inverse >> 5) & 0xFF ^ (inverse << 4 | inverse >> 4) & 0xFF)
    words, rcon = [list(key[4 * i : 4 * i + 4]) for i in range(4)], 1
    for i in range(4, 44):
        w = words[-1]
        if i % 4 == 0:
            w = [box[b] for b in w[1:] + w[:1]]
            w[0] ^= rcon
            rcon = xtime(rcon)
        words.append([a ^ b for a, b in zip(words[i - 4], w)])
    keys = [sum(words[4 * r : 4 * r + 4], []) for r in range(11)]

    def encrypt(block):
        s = [a ^ b for a, b in zip(block, keys[0])]
        for r in range(1, 11):
            s = [box[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
            if r < 10:
                t = []
                for c in range(0, 16, 4):
                    col = s[c : c + 4]
                    t += [xtime(col[i]) ^ xtime(col[(i + 1) % 4]) ^ col[(i + 1) % 4] ^ col[(i + 2) % 4] ^ col[(i + 3) % 4] for i in range(4)]
                s = t
            s = [a ^ b for a, b in zip(s, keys[r])]
        return bytes(s)

    return encrypt


def correction_words(bits, below):
    """Boyle et al., Eurocrypt 2021, figure 1, with one bit of output, for the roots and values of the test"""
    cipher = aes128(bytes(7 * i & 0xFF for i in range(16)))
    assert aes128(bytes(range(16)))(bytes(0x11 * i for i in range(16)))[:4] == bytes([0x69, 0xC4, 0xE0, 0xD8])
    def h(x):
        text = x.to_bytes(16, "little")
        return int.from_bytes(bytes(a ^ b for a, b in zip(cipher(text), text)), "little")
    seed_of = lambda x: x >> 3 << 3
    all_words = []
    for i, low in enumerate(LOW):
        alpha = low & ((1 << bits) - 1)
        s = [seed_of((2 * i + j + 1) * 0x0123456789ABCDEFFEDCBA9876543211 & (1 << 128) - 1) for j in range(2)]
        t, value, words = [0, 1], 0, []
        for j in range(bits - 1, 6, -1):
            a = alpha >> j & 1
            children = [[h(s[b] | side) for side in range(2)] for b in range(2)]
            lost = children[0][1 - a] ^ children[1][1 - a]
            v = (lost >> 1 & 1 ^ value ^ a) if below else 0
            control = [children[0][side] & 1 ^ children[1][side] & 1 ^ (side == a) for side in range(2)]
            words.append(seed_of(lost) | control[1] << 2 | v << 1 | control[0])
            if below:
                value ^= (children[0][a] ^ children[1][a]) >> 1 & 1 ^ v
            for b in range(2):
                kept = children[b][a]
                s[b] = seed_of(kept) ^ (seed_of(lost) if t[b] else 0)
                t[b] = kept & 1 ^ (control[a] if t[b] else 0)
        table = sum((x < alpha % 128 if below else x == alpha % 128) << x for x in range(128))
        words.append(h(s[0] | 4) ^ h(s[1] | 4) ^ table ^ ((1 << 128) - 1 if value else 0))
        all_words.append(words)
    return fnv(half for level in zip(*all_words) for word in level for half in (word & MASK, word >> 64))


for d, scale in (17, 24), (31, 26), (22, 29):
    print("rows", d, scale, hex(rows(d, scale)))
for f in 16, 18, 20:
    negative = exponentials(f, -239, 4, 4, 18, 41, 80)
    below_one = exponentials(f, -23, 3, 2, f + 2, f + 12, 72)
    print("exponentials", f, hex(negative), hex(exponentials(f, -16, 2, 3, 18, 26, 52)), hex(below_one))
for bits, below in (63, True), (64, False), (18, True):
    print("correction words", bits, below, hex(correction_words(bits, below)))
