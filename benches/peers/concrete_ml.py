#!/usr/bin/env python3
"""Runs Concrete ML 1.9 and Tacit in turn on the same data on this machine, and prints a table.

    python3.11 -m venv peers && peers/bin/pip install concrete-ml==1.9.0        # 6 GB
    peers/bin/python benches/peers/concrete_ml.py [--rows 3]

Both answer rows of the same data sets, one row at a time, on one core. Seconds are the processor's. The network that
Concrete ML trains differs from fit to fit, in accuracy, bootstraps and keys, so it is fitted `--fits` times and each is
told. Its bootstraps go wrong with probability 2^-40 each by default, ours with 2^-128 for all of an answer. Rows that are
held out are not the same: each side's accuracy is that of its own split, a quarter of the rows."""
import argparse
import json
import os
import pathlib
import subprocess
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADING = ["", "accuracy", "bootstraps", "CPU s a row", "with encryption and decryption", "key", "request", "result", "s to make keys"]


def cpu(work):
    """What `work` returns, and the processor seconds that it took."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def median(numbers):
    return sorted(numbers)[len(numbers) // 2]


def theirs(name, model, data, rows):
    """Fits, compiles and runs a model of Concrete ML."""
    from sklearn.model_selection import train_test_split

    train, test, classes, wanted = train_test_split(*data, test_size=0.25, random_state=0)
    model.fit(train, classes)
    accuracy = (model.predict(test) == wanted).mean()
    circuit = model.compile(train)
    _, keygen = cpu(lambda: circuit.client.keygen(force=True))
    keys = len(circuit.client.evaluation_keys.serialize())
    asked = model.quantize_input(test)
    inner, whole, request, result = [], [], 0, 0
    for k in range(rows + 1):
        encrypted, encrypting = cpu(lambda: circuit.encrypt(asked[k : k + 1]))
        answer, running = cpu(lambda: circuit.run(encrypted))
        _, decrypting = cpu(lambda: circuit.decrypt(answer))
        request, result = len(encrypted.serialize()), len(answer.serialize())
        if k:  # the first run also prepares the keys
            inner.append(running)
            whole.append(encrypting + running + decrypting)
    return [f"Concrete ML 1.9, {name}", f"{100 * accuracy:.1f} %", str(circuit.programmable_bootstrap_count),
            f"{median(inner):.4f}", f"{median(whole):.4f}", size(keys), size(request), size(result), f"{keygen:.1f}"]


def ours(rows):
    """The shipped models, by `tacit bench`."""
    command = ["cargo", "run", "--release", "-q", "--", "bench", "--protocol", "tfhe", "--json", "--runs", str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for entry in json.loads(done.stdout.strip().splitlines()[-1])["results"]:
        if entry["wrong"]:
            raise SystemExit(f"{entry['op']}: {entry['wrong']} wrong values")
        accuracy = "–" if entry["accuracy"] is None else f"{100 * entry['accuracy']:.1f} %"
        whole = entry["cpu_seconds"] + entry["client_seconds"]
        yield [f"Tacit, {entry['op']}", accuracy, str(entry["bootstraps"]), f"{entry['cpu_seconds']:.4f}", f"{whole:.4f}",
               size(entry["key_bytes"]), size(entry["request_bytes"]), size(entry["result_bytes"]),
               f"{entry['keygen_seconds']:.1f}"]


def size(count):
    for unit, least in [("MB", 1e6), ("kB", 1e3)]:
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=3, help="rows answered by each model")
    asked.add_argument("--fits", type=int, default=2, help="networks that Concrete ML fits")
    asked.add_argument("--theirs", action="store_true", help="Concrete ML alone")
    asked = asked.parse_args()

    print("| " + " | ".join(HEADING) + " |\n" + "|---" * len(HEADING) + "|", flush=True)

    def line(cells):
        print("| " + " | ".join(cells) + " |", flush=True)

    try:
        import torch
        from concrete.ml.sklearn import LogisticRegression, NeuralNetClassifier
    except ImportError as missing:
        print(f"Concrete ML is not here ({missing}): nothing was compared")
        return
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.preprocessing import StandardScaler

    numbers, classes = load_breast_cancer(return_X_y=True)
    line(theirs("logistic regression, breast cancer", LogisticRegression(n_bits=8),
                (StandardScaler().fit_transform(numbers), classes), 10 * asked.rows))
    numbers, classes = load_digits(return_X_y=True)
    for fit in range(asked.fits):
        network = NeuralNetClassifier(
            module__n_layers=2, module__n_w_bits=3, module__n_a_bits=3, module__n_accum_bits=12,
            module__n_hidden_neurons_multiplier=0.5, module__n_prune_neurons_percentage=0.0, module__activation_function=torch.nn.ReLU, max_epochs=40, batch_size=64, lr=0.02, verbose=0)
        line(theirs(f"digits 64-32-10, fit {fit + 1}", network, ((numbers / 16).astype("float32"), classes.astype("int64")), asked.rows))
    for cells in [] if asked.theirs else ours(asked.rows):
        line(cells)


if __name__ == "__main__":
    main()
