//! What a cheater does to one of its messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tacit_mpc::Label;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::session::parse_frame;

use super::common::message;

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Some bit of its body is another.
    Flip,
    /// This bit of its body is another.
    Bit(usize),
    /// Its body is replaced by other bytes.
    Replace,
    /// Its body is that of the message before it of the same length to the same party, or zeros if there is none.
    Stale,
    /// It changes places with the next message to the same party.
    Swap,
    /// It is sent twice.
    Replay,
    /// Its last byte is missing.
    Cut,
    /// It never leaves, nor does anything after it.
    Silence,
    /// It never leaves.
    Drop,
    /// It leaves when everybody has given up waiting for it.
    Late,
}

impl Attack {
    pub(crate) const ALL: [Self; 10] = [
        Self::Flip,
        Self::Bit(0),
        Self::Replace,
        Self::Stale,
        Self::Swap,
        Self::Replay,
        Self::Cut,
        Self::Silence,
        Self::Drop,
        Self::Late,
    ];

    /// Whether an honest party has to wait for what does not come.
    pub(crate) fn withholds(self) -> bool {
        matches!(self, Self::Silence | Self::Drop | Self::Late | Self::Swap)
    }

    /// Whether the run may end as if nothing had been.
    pub(crate) fn may_pass(self) -> bool {
        // Messages carry the place that they belong to, a stale body may be the right one, the last byte of packed bits has some
        // that stand for nothing, and who is done hears no repetition.
        matches!(self, Self::Swap | Self::Stale | Self::Flip | Self::Replay)
    }
}

struct Message {
    label: Label,
    clock: u32,
    body: Bytes,
}

fn frame(m: &Message) -> Bytes {
    message(m.label, m.clock, &m.body)
}

/// The cheater's end of its links: message `at` of those it sends is attacked.
struct Cheater {
    attack: Attack,
    at: usize,
    sent: Arc<AtomicUsize>,
    /// Bodies sent to each party, the newest first.
    before: [VecDeque<Bytes>; 3],
    /// A message held back until the next to the same party.
    held: Option<(usize, Bytes)>,
    patience: Duration,
}

/// Bodies remembered for [`Attack::Stale`].
const REMEMBERED: usize = 64;

impl Cheater {
    fn send(&mut self, to: usize, bytes: Bytes) -> Vec<Bytes> {
        let mut out = Vec::new();
        for (label, clock, body) in parse_frame(bytes).unwrap() {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            if self.attack == Attack::Silence && number >= self.at {
                continue;
            }
            let message = Message { label, clock, body };
            if number == self.at {
                out.extend(self.attacked(to, message));
            } else {
                out.push(frame(&message));
                if let Some((_, held)) = self.held.take_if(|(party, _)| *party == to) {
                    out.push(held);
                }
                self.before[to].push_front(message.body);
                self.before[to].truncate(REMEMBERED);
            }
        }
        out
    }

    fn attacked(&mut self, to: usize, mut m: Message) -> Vec<Bytes> {
        let mut body = m.body.to_vec();
        match self.attack {
            Attack::Drop | Attack::Silence => return vec![],
            Attack::Replay => return vec![frame(&m); 2],
            Attack::Swap => {
                self.held = Some((to, frame(&m)));
                return vec![];
            }
            Attack::Late => std::thread::sleep(self.patience),
            Attack::Bit(bit) => body[bit / 8] ^= 1 << (bit % 8),
            Attack::Flip => {
                let bit = self.at.wrapping_mul(0x9E37_79B9) % (8 * body.len());
                body[bit / 8] ^= 1 << (bit % 8);
            }
            Attack::Replace => {
                for (k, byte) in body.iter_mut().enumerate() {
                    *byte ^= (k as u64 + 1)
                        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                        .to_be_bytes()[0]
                        | 1;
                }
            }
            Attack::Stale => {
                let mut before = self.before[to].iter();
                let same = before.find(|b| b.len() == body.len());
                body = same.map_or_else(|| vec![0; body.len()], |b| b.to_vec());
            }
            Attack::Cut => body.truncate(body.len() - 1),
        }
        m.body = body.into();
        vec![frame(&m)]
    }
}

/// A mesh in which party `cheater` attacks message `at`; beside it the number of messages that the cheater sent.
pub(crate) fn mesh(
    attack: Option<(Attack, usize)>,
    cheater: usize,
    deadline: Duration,
) -> (Vec<Arc<dyn Transport>>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let tamper = |net: MemNet| {
        if net.me() != cheater {
            return Arc::new(net) as Arc<dyn Transport>;
        }
        let (attack, at) = attack.unwrap_or((Attack::Replay, usize::MAX));
        let mut party = Cheater {
            attack,
            at,
            sent: Arc::clone(&sent),
            before: Default::default(),
            held: None,
            patience: 2 * deadline,
        };
        Arc::new(Tamper::new(net, move |to, bytes| party.send(to, bytes)))
    };
    let nets = MemNet::mesh_with_deadline(3, deadline);
    let nets = nets.into_iter().map(tamper).collect();
    (nets, sent)
}
