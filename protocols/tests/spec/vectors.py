"""Writes vectors.txt: gates of the executable specification on random words, opened.

    python3 vectors.py FOLDER > vectors.txt      (FOLDER holds the specification, rep3.py; numpy)

One line a value: gate, fractional bits, input words, output word; signed integers. protocols/tests/spec.rs runs the same
inputs through this crate. What is exact must be equal; what is rounded must be as close as the errors of both allow.
"""
import sys
import numpy as np

sys.path.insert(0, sys.argv[1])
import rep3 as spec

U, rng = np.uint64, np.random.default_rng(20_2607)
signed = lambda rep: rep.value().astype(np.int64)


def share(net, x):
    return spec.share_test(net, np.asarray(x, dtype=np.int64).astype(U))


def write(gate, f, inputs, output):
    for row in zip(*[np.asarray(i).tolist() for i in inputs], np.asarray(output).tolist()):
        print(gate, f, *row)


def wide(n, bits):
    """words of every magnitude below 2^bits, both signs, with 0 and the neighbours of powers of two"""
    size = rng.integers(1, bits, n)
    x = rng.integers(0, 1 << 62, n) >> (62 - size)
    x[:8] = [0, 1, 2, 3, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1, 1 << 20]
    return np.where(rng.integers(0, 2, n) == 1, -x, x)


def binades(n, lo, hi):
    x = np.floor(2.0 ** rng.uniform(lo, hi, n)).astype(np.int64)
    edges = [e + d for e in (1 << j for j in range(lo, hi + 1)) for d in (-1, 0, 1)]
    edges = [e for e in edges if 1 << lo <= e < 1 << hi]
    return np.concatenate([x, np.array(edges, dtype=np.int64)])


N = 48
print("# written by vectors.py from the executable specification: gate, fractional bits, inputs, output")
for f in (16, 18, 20):
    dealer = f % 3
    net = spec.Net(f)
    x, y = wide(N, 31), wide(N, 31)
    write("product", f, [x, y], signed(spec.mul_trunc(net, share(net, x), share(net, y), f, D=dealer)))
    x = wide(N, 62)
    write("floor", f, [x], signed(spec.truncate_exact(net, spec.to_two(share(net, x), dealer), f)) << f)
    write("negative", f, [x], spec.msb(net, spec.to_two(share(net, x), dealer)).value())
    z = np.where(np.arange(N) % 3 == 0, 0, x)
    write("zero", f, [z], spec.eqz(net, spec.to_two(share(net, z), dealer)).value())
    write("relu", f, [x], signed(spec.relu(net, share(net, x), D=dealer)))
    x, y = wide(N, 61), wide(N, 61)
    write("max", f, [x, y], signed(spec.maximum(net, share(net, x), share(net, y), D=dealer)))
    x = rng.integers(-16 << f, 12 << f, N)
    x[:3] = [-16 << f, (12 << f) - 1, 0]
    write("exp", f, [x], signed(spec.exp(net, share(net, x), f, dealer)))
    x = rng.integers(-239 << f, 1 << f, N)
    x[:3] = [-239 << f, (1 << f) - 1, 0]
    write("exp_neg", f, [x], signed(spec.exp_neg(net, share(net, x), f, dealer)))
    x = rng.integers(-30 << f, 30 << f, N)
    write("sigmoid", f, [x], signed(spec.sigmoid(net, share(net, x), f, D=dealer)))
    lo, hi = f - 8, f + 12
    x = binades(N, lo, hi)
    for name, function in (("reciprocal", spec.reciprocal), ("rsqrt", spec.rsqrt), ("log", spec.log)):
        write(name, f, [x], signed(function(net, share(net, x), f, lo, hi, dealer)))
    # The place of the leading bit, as what follows from it: the scale factor 2^(hi - 1 - place).
    bits = spec.normalise(net, share(net, x), lo, hi, dealer)
    place = sum(b.value().astype(np.int64) for b in bits.values()) + lo
    write("leading", f, [x], place)
