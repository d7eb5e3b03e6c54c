#!/usr/bin/env bash
# Encrypted inference from nothing: a hospital serves a model that reads digits, an analyst asks it, in two processes.
# The hospital never sees a digit, nor what it was taken for.
#
# usage: examples/encrypted_inference/run.sh      after `cargo build --release`
# TACIT is the program, PORT where the hospital listens.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tacit=$(realpath "${TACIT:-$here/../../target/release/tacit}")
at=localhost:${PORT:-7443}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" || true; wait; rm -rf "$work"' EXIT
cd "$work"

echo "A consortium of two: the hospital is a party, the analyst a client."
{
    "$tacit" coordinator --dir coordinator init --name digits --address localhost:7000 --listen localhost:7000
    "$tacit" party --dir hospital init --name hospital --address localhost:7001 --listen localhost:0
    "$tacit" init --dir analyst --name analyst
    "$tacit" coordinator --dir coordinator admit hospital/request.toml analyst/request.toml
} > setup.log
cp coordinator/consortium.toml hospital/
cp coordinator/consortium.toml analyst/

echo "The hospital serves a model to the analyst."
cp "$here/../models/digits-24.tfhe" hospital/
cat >> hospital/party.toml << TOML

[encrypted]
listen = "$at"
clients = ["analyst"]
models.digits.file = "digits-24.tfhe"
TOML
"$tacit" party --dir hospital serve 2> hospital.log &
server=$!
for _ in $(seq 100); do
    grep -q "encrypted inference, listening" hospital.log && break
    kill -0 "$server" || { cat hospital.log >&2; exit 1; }
    sleep 0.1
done

echo "The analyst asks: the first question makes a key and sends its public half; the digits leave encrypted."
"$tacit" infer --dir analyst --server "hospital@$at" --protocol tfhe --model digits \
    --input "$here/digits.npy" --output scores.npy
echo "They are: 2, 8, 2, 6, 6, 7, 1, 9."
