"""Runs cases of the executable specification of rep3-malicious.

    python3 malicious.py FOLDER < cases > results      (FOLDER holds the specification, malicious.py; numpy)

A line of JSON a case: gate, shape, the three shares of each input, and a number that the gate needs. A line a result: bytes of the
gate of all parties, its rounds, bytes of the proof of each party, its rounds, its levels in each field, accepted by all three,
accepted by an honest party where party 0, 1, 2 sends one word of the gate wrong; and the output words. The test in
src/malicious/tests/spec.rs runs the same shares through this crate.
"""
import importlib.util
import json
import sys

import numpy as np

# The specification has this file's name.
found = importlib.util.spec_from_file_location("specification", sys.argv[1] + "/malicious.py")
spec = importlib.util.module_from_spec(found)
sys.modules["specification"] = spec
found.loader.exec_module(spec)
U = np.uint64


async def gate(s, name, x, number):
    if name == "product":
        return await spec.mul(s, x[0], x[1])
    if name == "matmul":
        return await spec.matmul(s, x[0], x[1])
    if name == "truncate":
        return await spec.trunc(s, x[0], number, 0)
    if name == "relu":
        return await spec.relu(s, x[0])
    if name == "b2a":
        return await spec.b2a(s, x[0])
    if name == "and":
        z = await spec.band(s, x[0], x[1])
        return await spec.b2a(s, z.map(lambda v: v & U(1)))
    raise ValueError(name)


def run(case, cheater=None):
    boo = case["gate"] in ("and", "b2a")
    state = {}

    async def program(s):
        shares = [[np.array(v, dtype=U).reshape(shape) for v in x] for shape, x in zip(case["shapes"], case["shares"])]
        x = [spec.Rep(v[s.me], v[s.nxt], boo) for v in shares]
        y = await gate(s, case["gate"], x, case["number"])
        state[s.me] = (y.a, s.net.clock[s.me])
        await spec.verify(s)
        return True

    first = [True]

    def tamper(m, src, dst, label, data):
        if src == cheater and first[0] and len(data) >= 8:
            first[0] = False
            return bytes([data[0] ^ 1]) + data[1:]
        return data

    # The last level takes as many entries as there.
    out, net, _ = spec.run(program, spec.Params(final=64), tamper=tamper if cheater is not None else None)
    accepted = [o is True for o in out]
    return state, net, accepted


for line in sys.stdin:
    case = json.loads(line)
    state, net, accepted = run(case)
    own = [state[p][0] for p in range(3)]
    total = own[0] + own[1] + own[2]
    rounds = max(state[p][1] for p in range(3))
    levels = [sum(1 for src, _, label, _ in net.msgs if src == 0 and label.startswith("q#"))]
    fields = [1 if case["gate"] != "and" else 2]
    caught = []
    for cheater in range(3):
        _, _, seen = run(case, cheater)
        caught.append(int(any(seen[p] for p in range(3) if p != cheater)))
    print(
        sum(net.phase_bytes["online"]), rounds, net.phase_bytes["verify"][0], max(net.clock) - rounds,
        levels[0], fields[0], int(all(accepted)), *caught, *total.ravel().tolist(), flush=True,
    )
