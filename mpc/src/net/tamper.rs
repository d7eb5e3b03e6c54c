//! The adversary as a decorator: changes, drops or repeats what a party sends.

use std::sync::Mutex;

use bytes::Bytes;

use super::{Error, Transport};
use crate::PartyId;

/// Maps (receiver, frame) to the frames that leave instead.
type Attack = Box<dyn FnMut(PartyId, Bytes) -> Vec<Bytes> + Send>;

/// A transport whose outgoing frames pass through an attack.
pub struct Tamper<T> {
    inner: T,
    attack: Mutex<Attack>,
}

impl<T: Transport> Tamper<T> {
    /// Sends what `attack` makes of each (receiver, frame).
    pub fn new(
        inner: T,
        attack: impl FnMut(PartyId, Bytes) -> Vec<Bytes> + Send + 'static,
    ) -> Self {
        Self {
            inner,
            attack: Mutex::new(Box::new(attack)),
        }
    }
}

impl<T: Transport> Transport for Tamper<T> {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), Error> {
        let frames = (self.attack.lock().expect("an attack does not panic"))(to, frame);
        frames.into_iter().try_for_each(|f| self.inner.send(to, f))
    }

    fn recv(&self, from: PartyId) -> Result<Bytes, Error> {
        self.inner.recv(from)
    }
}
