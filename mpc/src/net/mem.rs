//! Parties in one process: queues in memory.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Error, Transport};
use crate::PartyId;

/// One party's end of a full mesh of in-memory queues.
pub struct MemNet {
    me: PartyId,
    to: Vec<Sender<Bytes>>,
    from: Vec<Mutex<Receiver<Bytes>>>,
    deadline: Duration,
}

impl MemNet {
    /// A mesh of `n` parties whose receives give up after a minute.
    #[must_use]
    pub fn mesh(n: usize) -> Vec<Self> {
        Self::mesh_with_deadline(n, Duration::from_secs(60))
    }

    /// A mesh of `n` parties whose receives give up after `deadline`.
    #[must_use]
    pub fn mesh_with_deadline(n: usize, deadline: Duration) -> Vec<Self> {
        let mut to: Vec<Vec<Sender<Bytes>>> = (0..n).map(|_| Vec::new()).collect();
        let mut from: Vec<Vec<Mutex<Receiver<Bytes>>>> = (0..n).map(|_| Vec::new()).collect();
        for sender in &mut to {
            for receiver in &mut from {
                let (tx, rx) = channel();
                sender.push(tx);
                receiver.push(Mutex::new(rx));
            }
        }
        to.into_iter()
            .zip(from)
            .enumerate()
            .map(|(me, (to, from))| Self {
                me,
                to,
                from,
                deadline,
            })
            .collect()
    }
}

impl Transport for MemNet {
    fn me(&self) -> PartyId {
        self.me
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        let link = self.to.get(to).ok_or(Error::NoLink { peer: to })?;
        link.send(frame).map_err(|_| Error::Closed { peer: to })
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        let link = self.from.get(from).ok_or(Error::NoLink { peer: from })?;
        let link = link.lock().unwrap_or_else(PoisonError::into_inner);
        link.recv_timeout(self.deadline).map_err(|e| match e {
            RecvTimeoutError::Timeout => Error::Timeout { peer: from },
            RecvTimeoutError::Disconnected => Error::Closed { peer: from },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_order_and_faults_name_the_peer() {
        let mut nets = MemNet::mesh_with_deadline(3, Duration::from_millis(20));
        for k in 0..3u8 {
            nets[0].send(1, Bytes::copy_from_slice(&[k])).unwrap();
        }
        for k in 0..3u8 {
            assert_eq!(nets[1].recv(0).unwrap()[..], [k]);
        }
        assert_eq!(nets[1].recv(2), Err(Error::Timeout { peer: 2 }));
        assert_eq!(nets[1].recv(7), Err(Error::NoLink { peer: 7 }));
        drop(nets.pop());
        assert_eq!(nets[1].recv(2), Err(Error::Closed { peer: 2 }));
        assert_eq!(
            nets[0].send(2, Bytes::new()),
            Err(Error::Closed { peer: 2 })
        );
    }
}
