use tacit_mpc::net::{MemNet, Transport};
use tacit_mpc::simulate::simulate;

use super::*;
use std::sync::Arc;

#[test]
fn every_gate_gives_what_plaintext_gives() {
    for &gate in Gate::value_variants() {
        let size = if matches!(gate, Gate::Matmul | Gate::Conv) {
            9
        } else {
            64
        };
        let inputs = gate.inputs(size);
        let nets = MemNet::mesh(3)
            .into_iter()
            .map(|n| Arc::new(n) as Arc<dyn Transport>);
        let opened = simulate(nets.collect(), |session| {
            let mut e = Rep3Engine::new(session, fixed::FRACTION_BITS).unwrap();
            let x: Vec<_> = inputs.iter().map(|x| e.trivial(x).unwrap()).collect();
            let x = gate.prepared(&mut e, x).unwrap();
            let y = gate.run(&mut e, &x).unwrap().swap_remove(0);
            let y = gate.openable(&mut e, &y).unwrap();
            e.reveal(&y).unwrap()
        });
        let unit = if gate == Gate::Mul {
            1.0
        } else {
            2f64.powi(-18)
        };
        let (got, want) = (opened[0].as_ref().unwrap(), gate.plain(&inputs));
        assert_eq!(got.shape(), want.shape(), "{gate:?}");
        for (got, want) in got.iter().zip(&want) {
            assert!(
                (got - want).abs() < 40.0 * unit + want.abs() / 8192.0,
                "{gate:?}: {got} for {want}"
            );
        }
    }
}
