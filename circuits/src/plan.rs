//! Running a circuit layer by layer.
//!
//! The conjunctions of one depth travel together: a circuit takes as many rounds as its depth times those of a conjunction.
//! What is local is computed as soon as its operands are there, and a wire that nothing reads any more is given up.

use crate::circuit::{Circuit, Gate, Wire};

/// One bit of each of some instances: what wires hold, and what is local on it.
pub trait Bits {
    /// The plane of a wire.
    type Plane: Clone;

    /// x ⊕ y.
    fn xor(&self, x: &Self::Plane, y: &Self::Plane) -> Self::Plane;

    /// ¬x.
    fn not(&self, x: &Self::Plane) -> Self::Plane;

    /// The same bit in every instance.
    fn constant(&self, bit: bool) -> Self::Plane;
}

/// A step of a plan.
#[derive(Clone, Copy, Debug)]
struct Step {
    gate: Gate,
    /// Of the gate's operands, by their place: whether nothing reads the wire later.
    last: [bool; 2],
}

/// A circuit in the order in which it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    wires: usize,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// Local gates, then conjunctions, of each depth.
    layers: Vec<[Vec<Step>; 2]>,
}

impl Plan {
    /// Lays a circuit out.
    #[must_use]
    pub fn new(circuit: &Circuit) -> Self {
        // Conjunctions of depth d read wires of depth at most d and set wires of depth d + 1.
        let mut depth = vec![0usize; circuit.wires];
        let mut layers: Vec<[Vec<Step>; 2]> = vec![<[Vec<Step>; 2]>::default()];
        for &gate in &circuit.gates {
            let at = gate.operands().map(|wire| depth[wire as usize]);
            let at = at.max().unwrap_or(0);
            let and = matches!(gate, Gate::And { .. });
            depth[gate.out() as usize] = at + usize::from(and);
            if layers.len() <= at {
                layers.resize_with(at + 1, Default::default);
            }
            let last = [false; 2];
            layers[at][usize::from(and)].push(Step { gate, last });
        }
        let outputs: usize = circuit.outputs.iter().sum();
        let mut read: Vec<bool> = (0..circuit.wires)
            .map(|wire| wire >= circuit.wires - outputs)
            .collect();
        for step in layers.iter_mut().rev().flat_map(|layer| {
            let [local, ands] = layer;
            ands.iter_mut().rev().chain(local.iter_mut().rev())
        }) {
            let operands: Vec<Wire> = step.gate.operands().collect();
            // Of a wire that a gate reads twice the second place is the last.
            for (wire, last) in operands.iter().zip(&mut step.last).rev() {
                *last = !std::mem::replace(&mut read[*wire as usize], true);
            }
        }
        Self {
            wires: circuit.wires,
            inputs: circuit.inputs.clone(),
            outputs: circuit.outputs.clone(),
            layers,
        }
    }

    /// Layers of conjunctions: a circuit takes so many times the rounds of one.
    #[must_use]
    pub fn depth(&self) -> usize {
        let ands = |layer: &&[Vec<Step>; 2]| !layer[1].is_empty();
        self.layers.iter().filter(ands).count()
    }

    /// Bits of each input.
    #[must_use]
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// Bits of each output.
    #[must_use]
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Begins to run the circuit on the planes of each input, least significant bit first.
    ///
    /// # Panics
    /// The inputs have not the bits of [`Self::inputs`].
    #[must_use]
    pub fn start<P>(&self, inputs: Vec<Vec<P>>) -> Run<'_, P> {
        let widths: Vec<usize> = inputs.iter().map(Vec::len).collect();
        assert_eq!(widths, self.inputs, "bits of the inputs");
        let mut wires: Vec<Option<P>> = inputs.into_iter().flatten().map(Some).collect();
        wires.resize_with(self.wires, || None);
        Run {
            plan: self,
            layer: 0,
            wires,
        }
    }
}

/// A circuit that is being run. Whoever runs it computes the conjunctions, in whatever way it can:
/// ```
/// # use tacit_circuits::{Circuit, Clear, Plan};
/// # let circuit = Circuit::parse("1 3\n2 1 1\n1 1\n\n2 1 0 1 2 AND\n").unwrap();
/// # let plan = Plan::new(&circuit);
/// # let bits = Clear { instances: 64 };
/// let mut run = plan.start(vec![vec![vec![6u64]], vec![vec![3]]]);
/// while let Some(pairs) = run.conjunctions(&bits) {
///     let products = pairs.iter().map(|[x, y]| vec![x[0] & y[0]]).collect();
///     run.resume(products);
/// }
/// assert_eq!(run.outputs(), [[[2]]]);
/// ```
#[derive(Debug)]
pub struct Run<'p, P> {
    plan: &'p Plan,
    layer: usize,
    wires: Vec<Option<P>>,
}

impl<P: Clone> Run<'_, P> {
    /// Computes what is local up to the next conjunctions, and returns the operands of these; `None` at the end.
    pub fn conjunctions(&mut self, bits: &impl Bits<Plane = P>) -> Option<Vec<[P; 2]>> {
        while let Some([local, ands]) = self.plan.layers.get(self.layer) {
            for step in local {
                self.local(step, bits);
            }
            if !ands.is_empty() {
                return Some(ands.iter().filter_map(|step| self.operands(step)).collect());
            }
            self.layer += 1;
        }
        None
    }

    /// Goes on with the conjunctions that were asked for, in their order.
    ///
    /// # Panics
    /// There are not as many.
    pub fn resume(&mut self, products: Vec<P>) {
        let ands = self.plan.layers.get(self.layer);
        let ands = ands.map_or(&[][..], |[_, ands]| ands);
        assert_eq!(ands.len(), products.len(), "conjunctions");
        for (step, value) in ands.iter().zip(products) {
            self.wires[step.gate.out() as usize] = Some(value);
        }
        self.layer += 1;
    }

    /// The planes of each output.
    ///
    /// # Panics
    /// The circuit has not been run to its end.
    #[must_use]
    pub fn outputs(mut self) -> Vec<Vec<P>> {
        assert_eq!(self.layer, self.plan.layers.len(), "layers that were run");
        let outputs = &self.plan.outputs;
        let first = self.plan.wires - outputs.iter().sum::<usize>();
        let mut out = self.wires.drain(first..).flatten();
        outputs
            .iter()
            .map(|&n| out.by_ref().take(n).collect())
            .collect()
    }

    fn local(&mut self, step: &Step, bits: &impl Bits<Plane = P>) {
        let value = match step.gate {
            Gate::Xor { of: [a, b], .. } => bits.xor(self.wire(a), self.wire(b)),
            Gate::Not { of, .. } => bits.not(self.wire(of)),
            Gate::Copy { of, .. } => self.wire(of).clone(),
            Gate::Constant { bit, .. } => bits.constant(bit),
            Gate::And { .. } => unreachable!("a conjunction is not local"),
        };
        for (wire, last) in step.gate.operands().zip(step.last) {
            if last {
                self.wires[wire as usize] = None;
            }
        }
        self.wires[step.gate.out() as usize] = Some(value);
    }

    fn operands(&mut self, step: &Step) -> Option<[P; 2]> {
        let Gate::And { of: [a, b], .. } = step.gate else {
            return None;
        };
        let x = self.wire(a).clone();
        let y = self.wire(b).clone();
        for (wire, last) in [a, b].into_iter().zip(step.last) {
            if last {
                self.wires[wire as usize] = None;
            }
        }
        Some([x, y])
    }

    fn wire(&self, wire: Wire) -> &P {
        // A circuit reads what is set, and a plan gives up what is not read any more.
        self.wires[wire as usize].as_ref().expect("the wire is set")
    }
}
