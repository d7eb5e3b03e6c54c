//! What the tests of requirements share: inputs, a graph with every kind of gate, a mesh that records.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    missing_docs,
    reason = "a test fails by panicking, and no test binary needs everything"
)]

pub mod gate;
pub mod pads;
pub mod secure;
pub mod watched;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Label;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;
use tacit_nn::Graph;

use self::secure::Secure;
pub use tacit_protocols::suite::{reals, training_step};

/// (sender, receiver, label) → body.
pub type Wire = BTreeMap<(Label, usize, usize), Bytes>;

/// A message as it stands in a frame: the inverse of [`parse_frame`].
pub fn message(label: Label, clock: u32, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32_le(body.len() as u32);
    out.put_u32_le(label.invocation);
    out.put_u32_le(label.node);
    out.put_u16_le(label.strand);
    out.put_u16_le(label.gate);
    out.put_u32_le(clock);
    out.put_slice(body);
    out.freeze()
}

/// A mesh in memory that records every message.
pub fn recording(wire: &Arc<Mutex<Wire>>) -> Vec<Arc<dyn Transport>> {
    let tap = |net: MemNet| {
        let (wire, me) = (Arc::clone(wire), net.me());
        Arc::new(Tamper::new(net, move |to, frame| {
            for (label, _, body) in parse_frame(frame.clone()).unwrap() {
                assert!(
                    wire.lock().unwrap().insert((label, me, to), body).is_none(),
                    "a message was sent twice under {label}"
                );
            }
            vec![frame]
        })) as Arc<dyn Transport>
    };
    MemNet::mesh(3).into_iter().map(tap).collect()
}

pub fn step_inputs<E: Secure>(e: &mut E) -> Vec<E::Value> {
    [(0, [6, 4]), (1, [6, 1]), (2, [4, 1])]
        .into_iter()
        .map(|(owner, shape)| e.share(owner, &reals(&shape, owner as u64 + 3)).unwrap())
        .collect()
}
