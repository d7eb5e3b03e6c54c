//! Running a circuit layer by layer.
//!
//! The conjunctions of one depth travel together: a circuit takes as many rounds as its depth times those of a conjunction.
//! What is local is computed as soon as its operands are there, and a wire that nothing reads any more is given up.

use crate::circuit::{Circuit, Gate, Wire};

/// One bit of each of some instances: what wires hold.
pub trait Bits {
    /// The plane of a wire.
    type Plane: Clone;
    /// What can fail.
    type Error;

    /// x ⊕ y.
    fn xor(&mut self, x: &Self::Plane, y: &Self::Plane) -> Self::Plane;

    /// ¬x.
    fn not(&mut self, x: &Self::Plane) -> Self::Plane;

    /// The same bit in every instance.
    fn constant(&mut self, bit: bool) -> Self::Plane;

    /// x ∧ y for all pairs, at once.
    ///
    /// # Errors
    /// What the implementation says.
    fn ands(&mut self, pairs: &[[Self::Plane; 2]]) -> Result<Vec<Self::Plane>, Self::Error>;
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

    /// Runs the circuit: `inputs` are the planes of each input, least significant bit first, and the planes of each output come
    /// back in the same way.
    ///
    /// # Errors
    /// Those of `bits`.
    ///
    /// # Panics
    /// The inputs have not the bits of [`Circuit::inputs`].
    pub fn run<B: Bits>(
        &self,
        bits: &mut B,
        inputs: Vec<Vec<B::Plane>>,
    ) -> Result<Vec<Vec<B::Plane>>, B::Error> {
        let widths: Vec<usize> = inputs.iter().map(Vec::len).collect();
        assert_eq!(widths, self.inputs, "bits of the inputs");
        let mut wires: Vec<Option<B::Plane>> = inputs.into_iter().flatten().map(Some).collect();
        wires.resize_with(self.wires, || None);
        for [local, ands] in &self.layers {
            for step in local {
                let value = match step.gate {
                    Gate::Xor { of: [a, b], .. } => bits.xor(get(&wires, a), get(&wires, b)),
                    Gate::Not { of, .. } => bits.not(get(&wires, of)),
                    Gate::Copy { of, .. } => get(&wires, of).clone(),
                    Gate::Constant { bit, .. } => bits.constant(bit),
                    Gate::And { .. } => unreachable!("conjunctions are not local"),
                };
                step.give_up(&mut wires);
                wires[step.gate.out() as usize] = Some(value);
            }
            if ands.is_empty() {
                continue;
            }
            let mut pairs = Vec::with_capacity(ands.len());
            for step in ands {
                if let Gate::And { of, .. } = step.gate {
                    pairs.push(of.map(|wire| get(&wires, wire).clone()));
                }
                step.give_up(&mut wires);
            }
            let products = bits.ands(&pairs)?;
            for (step, value) in ands.iter().zip(products) {
                wires[step.gate.out() as usize] = Some(value);
            }
        }
        let first = self.wires - self.outputs.iter().sum::<usize>();
        let mut out = wires.drain(first..).flatten();
        let outputs = self.outputs.iter();
        Ok(outputs.map(|&n| out.by_ref().take(n).collect()).collect())
    }
}

impl Step {
    fn give_up<P>(&self, wires: &mut [Option<P>]) {
        for (wire, last) in self.gate.operands().zip(self.last) {
            if last {
                wires[wire as usize] = None;
            }
        }
    }
}

fn get<P>(wires: &[Option<P>], wire: Wire) -> &P {
    // A circuit reads what is set, and a plan gives up what is not read any more.
    wires[wire as usize].as_ref().expect("the wire is set")
}
