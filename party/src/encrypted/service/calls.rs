//! How many calls of a client are under way, over all its connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tacit_api::refusal::Remedy;
use tonic::Status;

/// Calls of one client at a time. Each holds a question or an answer at most, and a key on its way only on disk.
const MOST: usize = 64;
/// When somebody with too many calls may try again.
const AGAIN: Duration = Duration::from_secs(1);

/// Calls under way, by client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<HashMap<String, usize>>>);

/// A call under way; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    calls: Calls,
    client: String,
}

impl Calls {
    /// A call begins.
    pub(super) fn begin(&self, client: &str) -> Result<Call, Status> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = calls.entry(client.to_owned()).or_default();
        if *own >= MOST {
            let words = format!("{MOST} of your calls are under way already, which is the most");
            return Err(Remedy::AskAgain(AGAIN).to(Status::resource_exhausted(words)));
        }
        *own += 1;
        Ok(Call {
            calls: self.clone(),
            client: client.to_owned(),
        })
    }
}

#[cfg(test)]
impl Calls {
    /// Of all clients.
    pub(crate) fn under_way(&self) -> usize {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.values().sum()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = calls.get_mut(&self.client) {
            *own = own.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_calls_at_a_time_and_takes_none_from_others() {
        let calls = Calls::default();
        let mut own: Vec<_> = (0..MOST).map(|_| calls.begin("a").unwrap()).collect();
        let refused = calls.begin("a").unwrap_err();
        assert_eq!(Remedy::of(&refused), Some(Remedy::AskAgain(AGAIN)));
        let other = calls.begin("b").unwrap();
        own.pop();
        own.push(calls.begin("a").unwrap());
        assert!(calls.begin("a").is_err());
        drop((own, other));
        assert_eq!(calls.under_way(), 0);
    }
}
