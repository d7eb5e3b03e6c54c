//! Runs a graph on an engine.

mod later;
mod plan;

use std::borrow::Cow;

use crate::{Edge, Engine, Error, Graph, Product, Result, graph::Op, program};
use later::Rounded;
use plan::{Plan, Work};

/// Runs the graph in the order in which it was built; its outputs.
///
/// # Errors
/// Inputs that do not fit the graph, and whatever the engine reports.
pub fn run<E: Engine>(graph: &Graph, e: &mut E, inputs: &[E::Value]) -> Result<Vec<E::Value>> {
    let order: Vec<usize> = (0..graph.len()).collect();
    run_in_order(graph, &order, e, inputs)
}

/// [`run`] on inputs that lie apart. They are used where they lie: kernels that hold one ([`tacit_mpc::Kernels::hold`]) find it.
///
/// # Errors
/// As for [`run`].
pub fn run_on<E: Engine>(graph: &Graph, e: &mut E, inputs: &[&E::Value]) -> Result<Vec<E::Value>> {
    let order: Vec<usize> = (0..graph.len()).collect();
    run_order(graph, &order, e, inputs, &mut |_, _, _, _| Ok(()))
}

/// What may look at every value of a run, as soon as it is there: the node, the port, the engine and the value.
pub type Observer<'o, E> =
    dyn FnMut(usize, usize, &mut E, &<E as Engine>::Value) -> Result<()> + 'o;

/// [`run`], showing every value that is computed to `observer`. A product that was fused into a sum is not seen by itself, nor
/// is what is rounded later.
///
/// # Errors
/// As for [`run`], and whatever the observer reports.
pub fn run_observed<E: Engine>(
    graph: &Graph,
    e: &mut E,
    inputs: &[E::Value],
    observer: &mut Observer<'_, E>,
) -> Result<Vec<E::Value>> {
    let order: Vec<usize> = (0..graph.len()).collect();
    run_order(graph, &order, e, &borrowed(inputs), observer)
}

fn borrowed<V>(inputs: &[V]) -> Vec<&V> {
    inputs.iter().collect()
}

/// Runs the graph in any topological order. Nodes on which no output depends are skipped, a scale of a product or of another
/// scale that nothing else uses is done with it, products that are only added up are rounded once, outputs of functions that
/// nobody uses are not computed, products of which only the greatest are kept are rounded when these are known, and a value is
/// dropped after its last use.
///
/// # Errors
/// As for [`run`], and [`Error::Invalid`] where `order` puts a node before one that it depends on.
pub fn run_in_order<E: Engine>(
    graph: &Graph,
    order: &[usize],
    e: &mut E,
    inputs: &[E::Value],
) -> Result<Vec<E::Value>> {
    run_order(graph, order, e, &borrowed(inputs), &mut |_, _, _, _| Ok(()))
}

fn run_order<E: Engine>(
    graph: &Graph,
    order: &[usize],
    e: &mut E,
    inputs: &[&E::Value],
    observer: &mut Observer<'_, E>,
) -> Result<Vec<E::Value>> {
    check_inputs(graph, e, inputs)?;
    let plan = Plan::of(graph);
    let held = plan
        .uses
        .iter()
        .map(|ports| vec![None; ports.len()])
        .collect();
    let mut values = Values {
        held,
        left: plan.uses.clone(),
    };
    e.begin_run()?;
    for &node in order {
        let ports = plan
            .uses
            .get(node)
            .ok_or_else(|| Error::Invalid(format!("there is no node {node}")))?;
        let live: Vec<usize> = (0..ports.len()).filter(|&port| ports[port] > 0).collect();
        if live.is_empty() || plan.fused[node] {
            continue;
        }
        e.begin_node(node);
        let work = plan.work(graph, node);
        let operands = work.operands();
        let results: Vec<Cow<'_, E::Value>> = match &work {
            Work::Op(Op::Input(k), _) => vec![Cow::Borrowed(inputs[*k])],
            work => {
                let results = apply(work, &live, e, &values, &plan)?;
                results.into_iter().map(Cow::Owned).collect()
            }
        };
        operands.iter().for_each(|&x| values.release(x));
        for (port, mut value) in live.into_iter().zip(results) {
            match plan.rounded[node] {
                Rounded::Behind if port == 0 => value = Cow::Owned(e.round(value.into_owned())?),
                _ => (),
            }
            if port > 0 || plan.rounded[node] != Rounded::Later {
                observer(node, port, e, &value)?;
            }
            values.held[node][port] = Some(value);
        }
    }
    graph
        .outputs
        .iter()
        .map(|&x| values.get(x).cloned())
        .collect()
}

fn check_inputs<E: Engine>(graph: &Graph, e: &E, inputs: &[&E::Value]) -> Result<()> {
    if inputs.len() != graph.inputs {
        return Err(Error::Invalid(format!(
            "the graph has {} inputs, {} were given",
            graph.inputs,
            inputs.len()
        )));
    }
    for node in &graph.nodes {
        if let Op::Input(k) = node.op
            && e.shape(inputs[k]) != node.shape
        {
            return Err(Error::Shape {
                op: "input",
                left: node.shape.clone(),
                right: e.shape(inputs[k]),
            });
        }
    }
    Ok(())
}

/// Runs one operation; its live ports.
fn apply<E: Engine>(
    work: &Work<'_>,
    live: &[usize],
    e: &mut E,
    values: &Values<'_, E::Value>,
    plan: &Plan,
) -> Result<Vec<E::Value>> {
    let (op, operands) = match work {
        Work::Op(op, operands) => (*op, *operands),
        Work::Unrounded(Op::Bilinear(f), operands) => {
            let (x, y) = (values.get(operands[0])?, values.get(operands[1])?);
            let (f, coefficient) = (*f, 1);
            let term = Product {
                f,
                coefficient,
                x,
                y,
            };
            return Ok(vec![e.products_unrounded(&[term])?]);
        }
        Work::Unrounded(_, operands) => {
            let mut terms = Vec::with_capacity(operands.len());
            for &x in *operands {
                let value = values.get(x)?;
                terms.push(if plan.rounded[x.node] == Rounded::Later {
                    Cow::Borrowed(value)
                } else {
                    Cow::Owned(e.unrounded(value)?)
                });
            }
            let terms: Vec<(i64, &E::Value)> = terms.iter().map(|x| (1, &**x)).collect();
            return Ok(vec![e.linear(&terms, 0.0)?]);
        }
        Work::Scale(c, x) => return e.map(&program::scale(*c), &[values.get(*x)?]),
        Work::Products {
            terms,
            factor,
            rest,
            bias,
        } => {
            let terms = terms
                .iter()
                .map(|&(f, coefficient, x, y)| {
                    let (x, y) = (values.get(x)?, values.get(y)?);
                    Ok(Product {
                        f,
                        coefficient,
                        x,
                        y,
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            let sum = e.products(&terms, *factor)?;
            if rest.is_empty() && *bias == 0.0 {
                return Ok(vec![sum]);
            }
            let mut terms = vec![(1, &sum)];
            for &(c, x) in rest {
                terms.push((c, values.get(x)?));
            }
            return Ok(vec![e.linear(&terms, *bias)?]);
        }
    };
    let xs: Vec<&E::Value> = operands
        .iter()
        .map(|&x| values.get(x))
        .collect::<Result<_>>()?;
    Ok(match op {
        Op::Input(_) => unreachable!("inputs are there"),
        Op::Public(x) => vec![e.public(x)?],
        Op::Layout(layout) => vec![e.layout(layout, xs[0])?],
        Op::Concat(axis) => vec![e.concat(*axis, &xs)?],
        Op::Linear(coefficients, bias) => {
            let terms: Vec<(i64, &E::Value)> = coefficients.iter().copied().zip(xs).collect();
            vec![e.linear(&terms, *bias)?]
        }
        Op::Scale(c) => e.map(&program::scale(*c), &xs)?,
        Op::Bilinear(f) => vec![e.bilinear(*f, xs[0], xs[1], 1.0)?],
        Op::Map(f) => {
            let program = f.program();
            e.map(&program.keep(program.name, live), &xs)?
        }
    })
}

/// The values that are still to be used, and how often.
struct Values<'v, V: Clone> {
    /// Inputs lie where the caller has them.
    held: Vec<Vec<Option<Cow<'v, V>>>>,
    left: Vec<Vec<usize>>,
}

impl<V: Clone> Values<'_, V> {
    fn get(&self, x: Edge) -> Result<&V> {
        let missing = || {
            Error::Invalid(format!(
                "node {} is needed before the order runs it",
                x.node
            ))
        };
        self.held[x.node][x.port].as_deref().ok_or_else(missing)
    }

    fn release(&mut self, x: Edge) {
        self.left[x.node][x.port] -= 1;
        if self.left[x.node][x.port] == 0 {
            self.held[x.node][x.port] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::{Layout, Plain, Program, plain};

    /// Plain, with a log of what was asked of it.
    #[derive(Default)]
    struct Log(Plain, Vec<String>);

    impl Engine for Log {
        type Value = plain::Value;

        fn begin_node(&mut self, node: usize) {
            self.1.push(format!("node {node}"));
        }
        fn public(&mut self, x: &ndarray::ArrayD<f64>) -> Result<Self::Value> {
            self.0.public(x)
        }
        fn shape(&self, x: &Self::Value) -> Vec<usize> {
            self.0.shape(x)
        }
        fn layout(&mut self, layout: &Layout, x: &Self::Value) -> Result<Self::Value> {
            self.0.layout(layout, x)
        }
        fn concat(&mut self, axis: usize, xs: &[&Self::Value]) -> Result<Self::Value> {
            self.0.concat(axis, xs)
        }
        fn linear(&mut self, terms: &[(i64, &Self::Value)], bias: f64) -> Result<Self::Value> {
            self.0.linear(terms, bias)
        }
        fn products(
            &mut self,
            terms: &[Product<'_, Self::Value>],
            scale: f64,
        ) -> Result<Self::Value> {
            let names: Vec<&str> = terms.iter().map(|t| t.f.name()).collect();
            self.1.push(format!("{} {scale}", names.join("+")));
            self.0.products(terms, scale)
        }
        fn map(&mut self, program: &Program, inputs: &[&Self::Value]) -> Result<Vec<Self::Value>> {
            self.1
                .push(format!("{} {}", program.name, program.outputs.len()));
            self.0.map(program, inputs)
        }
    }

    #[test]
    fn scales_are_fused_and_dead_nodes_and_ports_skipped() {
        let mut g = Graph::new();
        let x = g.input(&[2, 2]);
        let once = g.matmul(x, x).unwrap();
        let half = g.scale(once, 0.5).unwrap();
        let twice = g.mul(x, x).unwrap();
        let quarter = g.scale(twice, 0.25).unwrap();
        let sum = g
            .linear(&[(1, half), (1, twice), (1, quarter)], 0.0)
            .unwrap();
        g.exp_negative(x).unwrap();
        let out = g.relu(sum).unwrap();
        g.output(out);
        let mut e = Log::default();
        let input = array![[1.0, -2.0], [3.0, 4.0]].into_dyn();
        let out = run(&g, &mut e, &[input]).unwrap();
        let want = [
            "node 0",
            "node 2",
            "matmul 0.5",
            "node 3",
            "mul 1",
            "node 4",
            "scale 1",
            "node 5",
            "node 7",
            "relu 1",
        ];
        assert_eq!(e.1, want);
        assert_eq!(out[0], array![[0.0f32, 0.0], [18.75, 25.0]].into_dyn());
    }

    #[test]
    fn products_that_are_added_up_are_rounded_once() {
        let mut g = Graph::new();
        let x = g.input(&[2, 2]);
        let (a, b) = (g.matmul(x, x).unwrap(), g.mul(x, x).unwrap());
        let shared = g.mul(x, x).unwrap();
        let sum = g
            .linear(&[(1, a), (2, shared), (-3, b), (1, x)], 0.5)
            .unwrap();
        g.output(sum);
        g.output(shared);
        let mut e = Log::default();
        let out = run(&g, &mut e, &[array![[1.0, 2.0], [0.0, 1.0]].into_dyn()]).unwrap();
        assert_eq!(e.1, ["node 0", "node 3", "mul 1", "node 4", "matmul+mul 1"]);
        assert_eq!(out[0], array![[1.5f32, 2.5], [0.5, 1.5]].into_dyn());
    }

    #[test]
    fn scales_of_scales_round_once() {
        let mut g = Graph::new();
        let x = g.input(&[2, 2]);
        // Of a product, and of what is no product.
        let product = g.matmul(x, x).unwrap();
        let half = g.scale(product, 0.5).unwrap();
        let eighth = g.scale(half, 0.25).unwrap();
        let quarter = g.scale(x, 0.25).unwrap();
        let same = g.scale(quarter, 3.0).unwrap();
        let thrice = g.scale(same, 2.0).unwrap();
        // One that something else uses; two that are too small together, and two that have too many digits together.
        let twice = g.scale(thrice, 0.5).unwrap();
        let tiny = g.scale(twice, 2f64.powi(-20)).unwrap();
        let nothing = g.scale(tiny, 2f64.powi(-30)).unwrap();
        let part = g.scale(x, 1001.0 / 1024.0).unwrap();
        let parts = g.scale(part, 1003.0 / 1024.0).unwrap();
        for y in [eighth, twice, nothing, parts] {
            g.output(y);
        }
        let mut e = Log::default();
        let input = array![[1.0, -2.0], [3.0, 4.0]].into_dyn();
        let out = run(&g, &mut e, &[input]).unwrap();
        let want = [
            "node 0",
            "node 3",
            "matmul 0.125",
            "node 7",
            "scale 1",
            "node 8",
            "scale 1",
            "node 9",
            "scale 1",
            "node 10",
            "scale 1",
            "node 11",
            "scale 1",
        ];
        assert_eq!(e.1, want);
        assert_eq!(out[0], array![[-0.625f32, -1.25], [1.875, 1.25]].into_dyn());
        assert_eq!(out[1], array![[0.75f32, -1.5], [2.25, 3.0]].into_dyn());
    }

    /// A product before a maximum of its halves' halves, plus a bias, is rounded behind it; the results are those of rounding
    /// first, which `rounded_first` forces by an output of what lies between.
    #[test]
    fn products_of_which_the_greatest_are_kept_are_rounded_afterwards() {
        let pooled = |rounded_first: bool| {
            let mut g = Graph::new();
            let (x, w, b) = (g.input(&[6, 8]), g.input(&[8, 4]), g.input(&[1, 4]));
            let product = g.matmul(x, w).unwrap();
            let z = g.add(product, b).unwrap();
            let mut pool = z;
            for n in [4, 2] {
                let left = g.slice(pool, 1, 0..n / 2).unwrap();
                let right = g.slice(pool, 1, n / 2..n).unwrap();
                pool = g.max(left, right).unwrap();
            }
            let y = g.relu(pool).unwrap();
            let flat = g.reshape(y, &[6]).unwrap();
            g.output(flat);
            if rounded_first {
                g.output(z);
            }
            g
        };
        let (later, first) = (pooled(false), pooled(true));
        let marks = |g: &Graph| Plan::of(g).rounded;
        let count = |g: &Graph, mark| marks(g).iter().filter(|&&m| m == mark).count();
        assert_eq!(
            (
                count(&later, Rounded::Later),
                count(&later, Rounded::Behind)
            ),
            (9, 1)
        );
        assert_eq!(count(&first, Rounded::AtOnce), first.len());
        let mut e = crate::Ring::new(18);
        let entry = |k: usize| ((k * 7919) % 1000) as f64 / 257.0 - 1.9;
        let inputs = [[6, 8], [8, 4], [1, 4]].map(|shape: [usize; 2]| {
            let mut k = shape[1];
            let x = ndarray::ArrayD::from_shape_simple_fn(shape.to_vec(), || {
                k += 1;
                entry(k)
            });
            e.public(&x).unwrap()
        });
        let got = run(&later, &mut e, &inputs).unwrap();
        let want = run(&first, &mut e, &inputs).unwrap();
        assert_eq!(got[0], want[0]);
        assert!(got[0].iter().any(|w| w.0 > 0), "not all cut off");

        // Half of what was multiplied is too much to round once more.
        let mut g = Graph::new();
        let (x, w) = (g.input(&[6, 8]), g.input(&[8, 4]));
        let product = g.matmul(x, w).unwrap();
        let (left, right) = (
            g.slice(product, 1, 0..2).unwrap(),
            g.slice(product, 1, 2..4).unwrap(),
        );
        let y = g.max(left, right).unwrap();
        g.output(y);
        assert_eq!(count(&g, Rounded::AtOnce), g.len());
    }

    #[test]
    fn an_order_that_is_not_topological_is_refused() {
        let mut g = Graph::new();
        let x = g.input(&[1]);
        let y = g.relu(x).unwrap();
        g.output(y);
        let input = [array![1.0f32].into_dyn()];
        assert!(matches!(
            run_in_order(&g, &[1, 0], &mut Plain, &input),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(
            run_in_order(&g, &[0, 2, 1], &mut Plain, &input),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(
            run_in_order(&g, &[0], &mut Plain, &input),
            Err(Error::Invalid(_))
        ));
        assert!(matches!(run(&g, &mut Plain, &[]), Err(Error::Invalid(_))));
        let wrong = array![1.0f32, 2.0].into_dyn();
        assert!(matches!(
            run(&g, &mut Plain, &[wrong]),
            Err(Error::Shape { op: "input", .. })
        ));
    }
}
