//! Matrix products.

use std::sync::Arc;

use super::layout::common_shape;
use crate::{
    Edge, Layout,
    onnx::{
        Constant, Element,
        context::{Ctx, Val},
        error::{Fault, Lowering, refuse},
        node::Node,
        registry::{OpSpec, op},
    },
};

pub(super) const OPS: &[OpSpec] = &[
    op("Gemm", 7, gemm, ""),
    op("MatMul", 1, matmul, "real numbers and integers"),
];

/// A known value times a number; `None` for others. Factors other than 1 go into what is known, where they cost nothing.
fn times(val: &Val, c: f64) -> Lowering<Option<Val>> {
    Ok(match val {
        _ if c == 1.0 => Some(val.clone()),
        Val::Known { value, secret } => {
            let x = value
                .numbers()
                .ok_or_else(|| Fault::Refused("text is not multiplied".into()))?;
            Some(Val::Known {
                value: Arc::new(Constant::Float(x * c)),
                secret: *secret,
            })
        }
        _ => None,
    })
}

fn transposed(ctx: &mut Ctx<'_>, val: &Val) -> Lowering<Val> {
    ctx.layout(val, Layout::Transpose(vec![1, 0]))
}

fn gemm(ctx: &mut Ctx<'_>, node: &Node) -> Lowering<Vec<Val>> {
    let (alpha, beta) = (node.float_or("alpha", 1.0)?, node.float_or("beta", 1.0)?);
    let (mut a, mut b) = (ctx.val(0).clone(), ctx.val(1).clone());
    for (i, val) in [&a, &b].into_iter().enumerate() {
        let shape = ctx.shape_of(val)?.unwrap_or_default();
        if shape.len() != 2 {
            return Err(Fault::Shape(format!(
                "operand {i} has shape {shape:?}, not two axes"
            )));
        }
    }
    if node.flag("transA", false)? {
        a = transposed(ctx, &a)?;
    }
    let mut names = [0, 1, 2].map(|i| ctx.names.get(i).cloned().unwrap_or_default());
    if node.flag("transB", false)? {
        b = transposed(ctx, &b)?;
        names[1].push('ᵀ');
    }
    if node.flag("transA", false)? {
        names[0].push('ᵀ');
    }
    let factor = |name: &mut String, c: f64| {
        if c != 1.0 {
            *name = format!("{c}·{name}");
        }
    };
    let scaled = times(&b, alpha)?;
    let late = if scaled.is_some() { 1.0 } else { alpha };
    if scaled.is_some() {
        factor(&mut names[1], alpha);
    }
    let (x, y) = (
        ctx.edge_of(&a, &names[0])?,
        ctx.edge_of(&scaled.unwrap_or(b), &names[1])?,
    );
    let product = ctx.g.matmul(x, y)?;
    let mut sum = ctx.g.scale_exact(product, late)?;
    if ctx.has(2) && beta != 0.0 {
        let c = ctx.val(2).clone();
        let c = match times(&c, beta)? {
            Some(c) => {
                factor(&mut names[2], beta);
                ctx.edge_of(&c, &names[2])?
            }
            None => {
                let c = ctx.edge(2)?;
                ctx.g.scale_exact(c, beta)?
            }
        };
        let shape = ctx.g.shape(sum)?.to_vec();
        let c = ctx.g.broadcast(c, &shape)?;
        sum = ctx.g.add(sum, c)?;
    }
    Ok(vec![Val::float(sum)])
}

fn matmul(ctx: &mut Ctx<'_>, _: &Node) -> Lowering<Vec<Val>> {
    let element = match (ctx.element(0)?, ctx.element(1)?) {
        (Element::Int, Element::Int) => Element::Int,
        (Element::Float, Element::Float) => Element::Float,
        _ => return refuse("its operands are of different kinds"),
    };
    let (a, b) = (ctx.edge(0)?, ctx.edge(1)?);
    let edge = product(ctx, a, b)?;
    Ok(vec![Val::Edge { edge, element }])
}

/// The product as numpy defines it: one axis is a row on the left and a column on the right, leading axes are broadcast.
fn product(ctx: &mut Ctx<'_>, a: Edge, b: Edge) -> Lowering<Edge> {
    let (left, right) = (ctx.g.shape(a)?.to_vec(), ctx.g.shape(b)?.to_vec());
    if left.is_empty() || right.is_empty() {
        return Err(Fault::Shape("an operand has no axes".into()));
    }
    let (row, column) = (left.len() == 1, right.len() == 1);
    let left = if row {
        [&[1], &left[..]].concat()
    } else {
        left
    };
    let right = if column {
        [&right[..], &[1]].concat()
    } else {
        right
    };
    let (a, b) = (ctx.reshape_edge(a, &left)?, ctx.reshape_edge(b, &right)?);
    let (batch_a, [m, k]) = left.split_at(left.len() - 2) else {
        return refuse("too few axes");
    };
    let (batch_b, [l, n]) = right.split_at(right.len() - 2) else {
        return refuse("too few axes");
    };
    if k != l {
        return Err(Fault::Shape(format!(
            "matrices of shapes {left:?} and {right:?} have no product"
        )));
    }
    let batch = common_shape(batch_a, batch_b)?;
    let edge = if batch_b.iter().all(|&n| n == 1) && !left.contains(&0) {
        // One matrix on the right: all rows on the left make one product.
        let rows = left[..left.len() - 1].iter().product();
        let a = ctx.reshape_edge(a, &[rows, *k])?;
        let b = ctx.reshape_edge(b, &[*k, *n])?;
        ctx.g.matmul(a, b)?
    } else {
        let a = ctx.g.broadcast(a, &[&batch[..], &[*m, *k]].concat())?;
        let b = ctx.g.broadcast(b, &[&batch[..], &[*k, *n]].concat())?;
        ctx.g.matmul(a, b)?
    };
    let mut shape = batch;
    shape.extend((!row).then_some(*m));
    shape.extend((!column).then_some(*n));
    ctx.reshape_edge(edge, &shape)
}
