//! Links on which a test sees, changes and drops single messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;
use tacit_mpc::{Label, PartyId};

/// A message on its way.
pub(in super::super) struct Message<'m> {
    pub(in super::super) from: PartyId,
    pub(in super::super) to: PartyId,
    pub(in super::super) label: Label,
    pub(in super::super) body: &'m mut Vec<u8>,
}

impl Message<'_> {
    /// Whether it belongs to a proof, or to another check.
    pub(in super::super) fn of_check(&self) -> bool {
        self.label.node > 1 << 23
    }
}

/// A mesh whose receives give up after `deadline`; every message passes through `filter`, which may change it, and goes on where
/// it says so.
pub(in super::super) fn filtered(
    deadline: Duration,
    filter: impl FnMut(Message<'_>) -> bool + Send + 'static,
) -> Vec<Arc<dyn Transport>> {
    let filter = Arc::new(Mutex::new(filter));
    let nets = MemNet::mesh_with_deadline(3, deadline).into_iter();
    let tamper = |net: MemNet| {
        let (from, filter) = (net.me(), Arc::clone(&filter));
        Arc::new(Tamper::new(net, move |to, frame: Bytes| {
            let mut filter = filter.lock().unwrap();
            let mut out = BytesMut::new();
            for (label, clock, body) in parse_frame(frame).unwrap() {
                let mut body = body.to_vec();
                let message = Message {
                    from,
                    to,
                    label,
                    body: &mut body,
                };
                if filter(message) {
                    out.put_u32_le(body.len() as u32);
                    out.put_u32_le(label.invocation);
                    out.put_u32_le(label.node);
                    out.put_u16_le(label.strand);
                    out.put_u16_le(label.gate);
                    out.put_u32_le(clock);
                    out.put_slice(&body);
                }
            }
            // A frame without messages is none.
            (!out.is_empty())
                .then(|| out.freeze())
                .into_iter()
                .collect()
        })) as Arc<dyn Transport>
    };
    nets.map(tamper).collect()
}
