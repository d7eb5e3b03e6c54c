//! Runs a graph on an engine.

use crate::{Edge, Engine, Error, Graph, Result, graph::Op, program};

/// Runs the graph in the order in which it was built; its outputs.
///
/// # Errors
/// Inputs that do not fit the graph, and whatever the engine reports.
pub fn run<E: Engine>(graph: &Graph, e: &mut E, inputs: &[E::Value]) -> Result<Vec<E::Value>> {
    let order: Vec<usize> = (0..graph.len()).collect();
    run_in_order(graph, &order, e, inputs)
}

/// Runs the graph in any topological order. Nodes on which no output depends are skipped, a scale of a product that nothing
/// else uses is done with the product, outputs of functions that nobody uses are not computed, and a value is dropped after
/// its last use.
///
/// # Errors
/// As for [`run`], and [`Error::Invalid`] where `order` puts a node before one that it depends on.
pub fn run_in_order<E: Engine>(
    graph: &Graph,
    order: &[usize],
    e: &mut E,
    inputs: &[E::Value],
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
        let (op, operands, factor) = plan.work(graph, node);
        let xs: Vec<&E::Value> = operands
            .iter()
            .map(|&x| values.get(x))
            .collect::<Result<_>>()?;
        let results = apply(op, factor, &live, e, inputs, &xs)?;
        operands.iter().for_each(|&x| values.release(x));
        for (port, value) in live.into_iter().zip(results) {
            values.held[node][port] = Some(value);
        }
    }
    graph
        .outputs
        .iter()
        .map(|&x| values.get(x).cloned())
        .collect()
}

fn check_inputs<E: Engine>(graph: &Graph, e: &E, inputs: &[E::Value]) -> Result<()> {
    if inputs.len() != graph.inputs {
        return Err(Error::Invalid(format!(
            "the graph has {} inputs, {} were given",
            graph.inputs,
            inputs.len()
        )));
    }
    for node in &graph.nodes {
        if let Op::Input(k) = node.op
            && e.shape(&inputs[k]) != node.shape
        {
            return Err(Error::Shape {
                op: "input",
                left: node.shape.clone(),
                right: e.shape(&inputs[k]),
            });
        }
    }
    Ok(())
}

/// Runs one operation; its live ports.
fn apply<E: Engine>(
    op: &Op,
    factor: f64,
    live: &[usize],
    e: &mut E,
    inputs: &[E::Value],
    xs: &[&E::Value],
) -> Result<Vec<E::Value>> {
    Ok(match op {
        Op::Input(k) => vec![inputs[*k].clone()],
        Op::Public(x) => vec![e.public(x)?],
        Op::Layout(layout) => vec![e.layout(layout, xs[0])?],
        Op::Concat(axis) => vec![e.concat(*axis, xs)?],
        Op::Linear(coefficients, bias) => {
            let terms: Vec<(i64, &E::Value)> = coefficients
                .iter()
                .copied()
                .zip(xs.iter().copied())
                .collect();
            vec![e.linear(&terms, *bias)?]
        }
        Op::Scale(c) => e.map(&program::scale(*c), xs)?,
        Op::Bilinear(f) => vec![e.bilinear(*f, xs[0], xs[1], factor)?],
        Op::Map(f) => {
            let program = f.program();
            e.map(&program.keep(program.name, live), xs)?
        }
    })
}

/// What the outputs need.
struct Plan {
    /// How often each port of each node is used.
    uses: Vec<Vec<usize>>,
    /// Products that the one scale that uses them computes, rounded once.
    fused: Vec<bool>,
}

impl Plan {
    fn of(graph: &Graph) -> Self {
        let mut uses: Vec<Vec<usize>> =
            graph.nodes.iter().map(|node| vec![0; node.ports]).collect();
        graph.outputs.iter().for_each(|x| uses[x.node][x.port] += 1);
        for (k, node) in graph.nodes.iter().enumerate().rev() {
            if uses[k].iter().any(|&n| n > 0) {
                node.inputs.iter().for_each(|x| uses[x.node][x.port] += 1);
            }
        }
        let mut fused = vec![false; graph.len()];
        for (k, node) in graph.nodes.iter().enumerate() {
            if let (Op::Scale(_), &[x]) = (&node.op, &node.inputs[..]) {
                let product = matches!(graph.nodes[x.node].op, Op::Bilinear(_));
                fused[x.node] |= product && uses[k][0] > 0 && uses[x.node][0] == 1;
            }
        }
        Self { uses, fused }
    }

    /// What to compute for a node: an operation, its operands and the factor of a product.
    fn work<'g>(&self, graph: &'g Graph, node: usize) -> (&'g Op, &'g [Edge], f64) {
        let node = &graph.nodes[node];
        match (&node.op, &node.inputs[..]) {
            (Op::Scale(c), [x]) if self.fused[x.node] => {
                let product = &graph.nodes[x.node];
                (&product.op, &product.inputs, *c)
            }
            (op, operands) => (op, operands, 1.0),
        }
    }
}

/// The values that are still to be used, and how often.
struct Values<V> {
    held: Vec<Vec<Option<V>>>,
    left: Vec<Vec<usize>>,
}

impl<V> Values<V> {
    fn get(&self, x: Edge) -> Result<&V> {
        let missing = || {
            Error::Invalid(format!(
                "node {} is needed before the order runs it",
                x.node
            ))
        };
        self.held[x.node][x.port].as_ref().ok_or_else(missing)
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
    use tacit_mpc::Bilinear;

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
        fn bilinear(
            &mut self,
            f: Bilinear,
            x: &Self::Value,
            y: &Self::Value,
            scale: f64,
        ) -> Result<Self::Value> {
            self.1.push(format!("{f:?} {scale}"));
            self.0.bilinear(f, x, y, scale)
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
        g.exp(x).unwrap();
        let out = g.relu(sum).unwrap();
        g.output(out);
        let mut e = Log::default();
        let input = array![[1.0, -2.0], [3.0, 4.0]].into_dyn();
        let out = run(&g, &mut e, &[input]).unwrap();
        let want = [
            "node 0",
            "node 2",
            "MatMul 0.5",
            "node 3",
            "Mul 1",
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
