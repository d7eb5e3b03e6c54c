//! The page that says what is supported, made from the registry.

use std::fmt::Write;

use super::{conformance::OUTSIDE, registry};

const HEAD: &str = "\
# ONNX: what is supported

This page is made from the code; `UPDATE=1 cargo test -p tacit-nn --test onnx_page` writes it anew.

";

const RULES: &str = "
- The file holds everything: no external data, no subgraphs (If, Loop, Scan), no sparse tensors. Functions that a file
  defines are inlined.
- Element types: float, double, float16, bfloat16 (all real numbers here), integers of 8 to 64 bits, bool, string. A private
  value is a real number, an integer or a truth value; all are fixed-point numbers in the graph. Text is never private
  input; a label that is text comes out as the index of a word, and the words with it.
- What does not depend on a private value is computed when the graph is made: shapes, masks, whatever is made of weights.
  A value that decides a shape or a position must be known then; where it depends on an input, that input must be public,
  and the error says which.
- Weights are the initializers of real numbers that have axes, the values of Constant nodes that hold more than one real
  number, and the coefficients and tables of ai.onnx.ml operators. They can be public, private or trained (initializers
  only). What decides the structure of the graph is public in each case: integers, single numbers in attributes and
  Constant nodes, the bounds of Clip, exponents.
- Known values beyond ±2^30 (infinite masks) become ±2^30.
- In inference Relu, LeakyRelu, Elu, Sigmoid, HardSigmoid, Tanh, Softplus, Softsign and Clip before MaxPool are computed
  behind it, and BatchNormalization goes into the weights of a Conv, ConvTranspose or Gemm before it.
- No tensor has more than 2^28 entries.

## Operators

Every operand may be private, except those in the column \"public\".

| operator | domain | since | public | limits |
|---|---|---|---|---|
";

/// `docs/onnx.md`: every operator with its domain, its first version, the operands that must be public and limits, and the
/// conformance cases that do not pass, with the reason.
#[must_use]
pub fn reference_page() -> String {
    let mut page = HEAD.to_string();
    // Writing to a string cannot fail.
    for domain in ["", registry::ML] {
        if let Some((oldest, newest)) = registry::versions(domain) {
            let name = registry::domain_name(domain);
            let _ = writeln!(page, "- `{name}`, operator sets {oldest} to {newest}.");
        }
    }
    page.push_str(RULES.trim_start_matches('\n'));
    let mut rows: Vec<_> = registry::all().collect();
    rows.sort_by_key(|spec| (spec.domain, spec.name));
    for spec in rows {
        let domain = registry::domain_name(spec.domain);
        let _ = writeln!(
            page,
            "| {} | {domain} | {} | {} | {} |",
            spec.name, spec.since, spec.public, spec.note
        );
    }
    page.push_str(
        "\n## Conformance cases outside\n\nOf the node tests of the ONNX project that are run here these do not pass.\n\n| case | engines | reason |\n|---|---|---|\n",
    );
    for outside in OUTSIDE {
        let engines = if outside.private_only {
            "private"
        } else {
            "all"
        };
        let _ = writeln!(
            page,
            "| {} | {engines} | {} |",
            outside.case, outside.reason
        );
    }
    page
}
