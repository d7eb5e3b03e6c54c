#!/usr/bin/env python3
"""Runs SPU 0.9.5 and Tacit in turn on the same work on this machine, and prints the ratios.

    python3 -m venv peers && peers/bin/pip install spu==0.9.5 scikit-learn
    peers/bin/python benches/peers/compare.py [--runs 3] [--cases matmul,relu]

Both run three processes over loopback. SPU speaks plain TCP with ABY3 over 64 bits; Tacit speaks TLS 1.3 with keys agreed
anew. CPU seconds are summed over the parties; bytes are those of all parties (SPU's: what its loopback device carried,
counted in a network namespace of its own where that is allowed; ours: payload and headers). Where SPU or its driver is
missing, this says so and ends with status 0: nothing was compared."""
import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get("TACIT_SHARED", ROOT.parent / "shared")) / "peers" / "spu_bench.py"

# name: (the case of SPU's driver, our operation, our size)
CASES = {
    "matmul 1024^3": ("matmul1024", "matmul", 1024),
    "mul_trunc 1M": ("mul1M", "mul_trunc", 1_000_000),
    "less 1M": ("less1M", "less", 1_000_000),
    "relu 1M": ("relu1M", "relu", 1_000_000),
    "exp 100k": ("exp100k", "exp", 100_000),
    "sigmoid 100k": ("sigmoid100k", "sigmoid", 100_000),
    "softmax 10k x 10": ("softmax100k", "softmax", 100_000),
    "mlp inference b128": ("mlp_inf_b128", "mlp", None),
    "mlp sgd step b128": ("mlp_train_it_b128", "mlp-train", None),
    "lenet inference b128": ("lenet_inf_b128", "lenet", None),
}


def spu(case, runs, work):
    """Seconds, CPU seconds and bytes of SPU, or None with the reason printed."""
    out = pathlib.Path(work) / "spu.json"
    command = [sys.executable, str(DRIVER), "--cases", case, "--reps", str(runs), "--out", str(out)]
    isolated = shutil.which("unshare") and subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0
    if isolated:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    result = json.loads(out.read_text()).get(case, {}) if out.exists() else {}
    if "median" not in result:
        print(f"  SPU did not finish {case}: {result.get('error') or done.stderr.strip()[-300:]}")
        return None
    return result["median"], result["cpu_sum_all_parties"], result["lo_MB_all"] * 1e6 if isolated else None


def ours(op, size, runs):
    command = ["cargo", "run", "--release", "-q", "--", "bench", "--op", op, "--runs", str(runs), "--json"]
    command += ["--size", str(size)] if size else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"tacit bench --op {op} failed: {done.stderr.strip()[-300:]}")
    result = json.loads(done.stdout.strip().splitlines()[-1])["results"][0]
    return result["seconds"], result["cpu_seconds"], result["bytes"] + result.get("header_bytes", 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cases", help="only those whose name contains one of these words, separated by commas")
    args = parser.parse_args()
    if not DRIVER.exists():
        print(f"skipped: there is no {DRIVER.name} in {DRIVER.parent}; TACIT_SHARED names the folder that holds peers/")
        return
    if importlib.util.find_spec("spu") is None:
        print("skipped: SPU is not installed for this Python; the head of this file says how")
        return
    words = args.cases.split(",") if args.cases else [""]
    print(f"{'':22} {'SPU s / CPU s / MB':>26} {'Tacit s / CPU s / MB':>26}   times as fast (s, CPU s, MB)")
    for name, (case, op, size) in CASES.items():
        if not any(word in name for word in words):
            continue
        with tempfile.TemporaryDirectory() as work:
            theirs, mine = spu(case, args.runs, work), ours(op, size, args.runs)
        cell = lambda r: f"{r[0]:8.3f} {r[1]:8.3f} {'-' if r[2] is None else format(r[2] / 1e6, '8.2f'):>8}"
        if theirs is None:
            print(f"{name:22} {'-':>26} {cell(mine):>26}")
            continue
        ratios = ["-" if a is None else f"{a / b:.1f}" for a, b in zip(theirs, mine)]
        print(f"{name:22} {cell(theirs):>26} {cell(mine):>26}   {', '.join(ratios)}", flush=True)


if __name__ == "__main__":
    main()
