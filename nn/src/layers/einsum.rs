//! Sums of products in Einstein's notation, as rearrangements and matrix products.

use std::collections::{BTreeMap, BTreeSet};

use super::invalid;
use crate::{Edge, Graph, Layout, Result};

/// An axis of the whole expression: a letter, or the k-th from the right of those that an ellipsis stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// A tensor and the names of its axes.
#[derive(Clone)]
struct Term {
    edge: Edge,
    labels: Vec<Label>,
}

/// Evaluates an equation such as `bij,bjk->bik` as numpy does: repeated letters of an operand take its diagonal, an ellipsis
/// stands for further axes that are broadcast, and without an arrow the letters that occur once are the result, in
/// alphabetical order. Operands are multiplied from left to right.
///
/// # Errors
/// [`crate::Error::Invalid`] for an equation that cannot be read or does not fit the operands.
pub fn einsum(g: &mut Graph, equation: &str, xs: &[Edge]) -> Result<Edge> {
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let misfit = |why: &str| invalid(format!("einsum \"{equation}\": {why}"));
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (text.as_str(), None),
    };
    let inputs: Vec<&str> = left.split(',').collect();
    if inputs.len() != xs.len() {
        return Err(misfit(&format!(
            "it names {} operands, there are {}",
            inputs.len(),
            xs.len()
        )));
    }
    let mut terms = Vec::with_capacity(xs.len());
    for (text, &edge) in inputs.iter().zip(xs) {
        let rank = g.shape(edge)?.len();
        let labels = labels(text, Some(rank)).ok_or_else(|| {
            misfit(&format!(
                "\"{text}\" does not describe a tensor of {rank} axes"
            ))
        })?;
        terms.push(diagonals(g, Term { edge, labels })?);
    }
    let lengths = lengths(g, &terms)?;
    let output = match right {
        None => implicit(&inputs, &terms),
        Some(text) => {
            let ellipsis = terms
                .iter()
                .flat_map(|t| &t.labels)
                .filter_map(|l| match l {
                    Label::Ellipsis(k) => Some(k + 1),
                    Label::Letter(_) => None,
                });
            let letters = text.replace("...", "").chars().count();
            let rank = letters + ellipsis.max().unwrap_or(0);
            let labels = labels(text, text.contains("...").then_some(rank));
            labels.ok_or_else(|| misfit(&format!("\"{text}\" does not describe a result")))?
        }
    };
    let distinct: BTreeSet<Label> = output.iter().copied().collect();
    if distinct.len() != output.len() || output.iter().any(|l| !lengths.contains_key(l)) {
        return Err(misfit(
            "each axis of the result occurs once, and in an operand",
        ));
    }
    // An axis of length 1 that is broadcast is no axis.
    for term in &mut terms {
        *term = squeezed(g, term, &lengths)?;
    }
    let mut product = terms[0].clone();
    for k in 1..terms.len() {
        let mut kept = distinct.clone();
        kept.extend(terms[k + 1..].iter().flat_map(|t| &t.labels));
        product = contract(g, &product, &terms[k], &kept, &lengths)?;
    }
    let product = summed(g, &product, &distinct)?;
    Ok(arranged(g, &product, &output)?.edge)
}

/// The axes that a text names; of a tensor with `rank` axes, if that is known.
fn labels(text: &str, rank: Option<usize>) -> Option<Vec<Label>> {
    let letters = |text: &str| -> Option<Vec<Label>> {
        text.chars()
            .map(|c| c.is_ascii_alphabetic().then_some(Label::Letter(c)))
            .collect()
    };
    let labels = match text.split_once("...") {
        None => letters(text)?,
        Some((before, after)) => {
            let (before, after) = (letters(before)?, letters(after)?);
            let more = rank?.checked_sub(before.len() + after.len())?;
            let ellipsis = (0..more).rev().map(Label::Ellipsis);
            before.into_iter().chain(ellipsis).chain(after).collect()
        }
    };
    rank.is_none_or(|rank| rank == labels.len())
        .then_some(labels)
}

/// The result where no arrow says otherwise.
fn implicit(inputs: &[&str], terms: &[Term]) -> Vec<Label> {
    let mut count: BTreeMap<char, usize> = BTreeMap::new();
    for c in inputs
        .iter()
        .flat_map(|text| text.chars())
        .filter(|&c| c != '.')
    {
        *count.entry(c).or_default() += 1;
    }
    let mut ellipsis: Vec<Label> = terms
        .iter()
        .flat_map(|t| t.labels.iter().copied())
        .filter(|l| matches!(l, Label::Ellipsis(_)))
        .collect();
    ellipsis.sort_unstable_by(|a, b| b.cmp(a));
    ellipsis.dedup();
    let once = count.into_iter().filter(|&(_, n)| n == 1);
    ellipsis
        .into_iter()
        .chain(once.map(|(c, _)| Label::Letter(c)))
        .collect()
}

/// The length of each axis; 1 is broadcast.
fn lengths(g: &Graph, terms: &[Term]) -> Result<BTreeMap<Label, usize>> {
    let mut lengths = BTreeMap::new();
    for term in terms {
        for (&label, &n) in term.labels.iter().zip(g.shape(term.edge)?) {
            let held = lengths.entry(label).or_insert(n);
            if *held == 1 {
                *held = n;
            } else if n != 1 && n != *held {
                return Err(invalid(format!(
                    "einsum: {label:?} is {held} long in one operand and {n} in another"
                )));
            }
        }
    }
    Ok(lengths)
}

/// The diagonal of every pair of axes with one name.
fn diagonals(g: &mut Graph, mut term: Term) -> Result<Term> {
    loop {
        let labels = &term.labels;
        let pair = (0..labels.len())
            .flat_map(|i| (i + 1..labels.len()).map(move |j| (i, j)))
            .find(|&(i, j)| labels[i] == labels[j]);
        let Some((i, j)) = pair else {
            return Ok(term);
        };
        let shape = g.shape(term.edge)?.to_vec();
        let n = shape[i];
        if shape[j] != n {
            return Err(invalid(format!(
                "einsum: no diagonal of axes of lengths {n} and {}",
                shape[j]
            )));
        }
        // Both to the end, as one axis of n² entries.
        let mut axes: Vec<usize> = (0..shape.len()).filter(|&a| a != i && a != j).collect();
        let mut flat: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
        let mut kept: Vec<Label> = axes.iter().map(|&a| labels[a]).collect();
        kept.push(labels[i]);
        axes.extend([i, j]);
        flat.push(n * n);
        let last = flat.len() - 1;
        let x = g.layout(Layout::Transpose(axes), term.edge)?;
        let x = g.reshape(x, &flat)?;
        let diagonal: Vec<usize> = (0..n).map(|k| k * (n + 1)).collect();
        term = Term {
            edge: g.gather(x, last, &diagonal)?,
            labels: kept,
        };
    }
}

/// Without the axes of length 1 that are longer elsewhere.
fn squeezed(g: &mut Graph, term: &Term, lengths: &BTreeMap<Label, usize>) -> Result<Term> {
    let shape = g.shape(term.edge)?.to_vec();
    let kept: Vec<usize> = (0..shape.len())
        .filter(|&a| lengths[&term.labels[a]] == shape[a])
        .collect();
    let to: Vec<usize> = kept.iter().map(|&a| shape[a]).collect();
    Ok(Term {
        edge: g.reshape(term.edge, &to)?,
        labels: kept.iter().map(|&a| term.labels[a]).collect(),
    })
}

/// The sum over every axis that is not kept.
fn summed(g: &mut Graph, term: &Term, kept: &BTreeSet<Label>) -> Result<Term> {
    let mut x = term.edge;
    let mut shape = Vec::new();
    for (axis, label) in term.labels.iter().enumerate() {
        if kept.contains(label) {
            shape.push(g.shape(x)?[axis]);
        } else {
            x = g.sum(x, axis)?;
        }
    }
    Ok(Term {
        edge: g.reshape(x, &shape)?,
        labels: term
            .labels
            .iter()
            .copied()
            .filter(|l| kept.contains(l))
            .collect(),
    })
}

/// The axes in the given order, which names all of them.
fn arranged(g: &mut Graph, term: &Term, order: &[Label]) -> Result<Term> {
    let axes: Option<Vec<usize>> = order
        .iter()
        .map(|l| term.labels.iter().position(|m| m == l))
        .collect();
    let axes = axes.ok_or_else(|| invalid("einsum: an axis of the result is in no operand"))?;
    let edge = if axes.iter().copied().eq(0..axes.len()) {
        term.edge
    } else {
        g.layout(Layout::Transpose(axes), term.edge)?
    };
    Ok(Term {
        edge,
        labels: order.to_vec(),
    })
}

/// The product of two terms, summed over the axes that neither the result nor a later operand has.
fn contract(
    g: &mut Graph,
    a: &Term,
    b: &Term,
    kept: &BTreeSet<Label>,
    lengths: &BTreeMap<Label, usize>,
) -> Result<Term> {
    let alone = |t: &Term| kept.iter().chain(&t.labels).copied().collect();
    let (a, b) = (&summed(g, a, &alone(b))?, &summed(g, b, &alone(a))?);
    let both = |keep: bool| -> Vec<Label> {
        let shared = a.labels.iter().copied().filter(|l| b.labels.contains(l));
        shared.filter(|l| kept.contains(l) == keep).collect()
    };
    let (batch, inner) = (both(true), both(false));
    let only = |t: &Term, other: &Term| -> Vec<Label> {
        t.labels
            .iter()
            .copied()
            .filter(|l| !other.labels.contains(l))
            .collect()
    };
    let (rows, columns) = (only(a, b), only(b, a));
    let size = |labels: &[Label]| labels.iter().map(|l| lengths[l]).product::<usize>();
    let a = arranged(g, a, &[&batch[..], &rows, &inner].concat())?;
    let b = arranged(g, b, &[&batch[..], &inner, &columns].concat())?;
    let [n, m, k, c] = [&batch, &rows, &inner, &columns].map(|l| size(l));
    let product = if inner.is_empty() && (m == 1 || c == 1) {
        // Entry by entry, with one operand repeated.
        let x = g.reshape(a.edge, &[n, m])?;
        let y = g.reshape(b.edge, &[n, c])?;
        g.mul(x, y)?
    } else if n == 1 {
        let x = g.reshape(a.edge, &[m, k])?;
        let y = g.reshape(b.edge, &[k, c])?;
        g.matmul(x, y)?
    } else {
        let x = g.reshape(a.edge, &[n, m, k])?;
        let y = g.reshape(b.edge, &[n, k, c])?;
        g.matmul(x, y)?
    };
    let labels = [batch, rows, columns].concat();
    let shape: Vec<usize> = labels.iter().map(|l| lengths[l]).collect();
    Ok(Term {
        edge: g.reshape(product, &shape)?,
        labels,
    })
}

#[cfg(test)]
mod tests;
