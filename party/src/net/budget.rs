//! Memory that all callers of a service together may take outside its queue: frames on their way in and out.
//!
//! Half of it is an equal part for each member that may call, which nobody else can use; the other half is for whoever
//! comes first. So a crowd cannot take more than the total, and no part of it can shut the others out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The memory of all callers.
pub(crate) struct Budget {
    /// Bytes that each member has for itself.
    own: usize,
    /// Bytes for whoever comes first.
    common: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that each member holds.
    held: Vec<usize>,
    /// How much of it is beyond what the members have for themselves.
    common: usize,
}

/// What one member takes of it.
#[derive(Clone)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    member: usize,
}

/// Bytes that are taken until this is dropped.
pub(super) struct Charge {
    account: Account,
    bytes: usize,
}

impl Budget {
    /// `total` bytes for so many members.
    pub(crate) fn new(total: usize, members: usize) -> Arc<Self> {
        Arc::new(Self {
            own: total / 2 / members.max(1),
            common: total / 2,
            state: Mutex::default(),
        })
    }

    /// The account of the member at a place among those that may call.
    pub(crate) fn account(self: &Arc<Self>, member: usize) -> Account {
        let budget = self.clone();
        Account { budget, member }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what a member holds to `change` of what it holds, if there is as much.
    fn change(&self, member: usize, change: impl FnOnce(usize) -> Option<usize>) -> bool {
        let mut state = self.lock();
        if state.held.len() <= member {
            state.held.resize(member + 1, 0);
        }
        let before = state.held[member];
        let Some(after) = change(before) else {
            return false;
        };
        let beyond = |held: usize| held.saturating_sub(self.own);
        let common = state.common - beyond(before) + beyond(after);
        if after > before && common > self.common {
            return false;
        }
        state.held[member] = after;
        state.common = common;
        true
    }

    /// Bytes that all hold.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lock().held.iter().sum()
    }
}

impl Account {
    /// Takes bytes; `None` if there are not so many left.
    pub(super) fn charge(&self, bytes: usize) -> Option<Charge> {
        let mut charge = Charge {
            account: self.clone(),
            bytes: 0,
        };
        charge.grow(bytes).then_some(charge)
    }
}

impl Charge {
    /// Takes more; `false` if there is not so much left, and then nothing has changed.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let Account { budget, member } = &self.account;
        let grown = budget.change(*member, |held| held.checked_add(more));
        if grown {
            self.bytes += more;
        }
        grown
    }

    /// The frame, with this charge as long as any part of it lives.
    pub(super) fn hold(self, frame: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Held {
            frame,
            _charge: self,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Account { budget, member } = &self.account;
        budget.change(*member, |held| Some(held.saturating_sub(self.bytes)));
    }
}

struct Held<F> {
    frame: F,
    _charge: Charge,
}

impl<F: AsRef<[u8]>> AsRef<[u8]> for Held<F> {
    fn as_ref(&self) -> &[u8] {
        self.frame.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_hold_no_more_than_the_total_and_each_has_its_part() {
        let budget = Budget::new(800, 4);
        let account = |member| budget.account(member);
        // Of 800 bytes each has 100; the first takes all the rest.
        let mut greedy = account(0).charge(500).unwrap();
        assert!(!greedy.grow(1));
        let others: Vec<Charge> = (1..4).map(|k| account(k).charge(100).unwrap()).collect();
        assert_eq!(budget.held(), 800);
        assert!((0..4).all(|k| account(k).charge(1).is_none()));
        drop(greedy);
        let second = account(2).charge(350).unwrap();
        assert!(account(3).charge(51).is_none());
        assert!(account(3).charge(50).is_some());
        // A frame keeps its bytes as long as a part of it lives.
        let part = second.hold(vec![1, 2, 3]).slice(1..);
        assert_eq!((budget.held(), &part[..]), (650, &[2, 3][..]));
        drop((part, others));
        assert_eq!(budget.held(), 0);
        assert!(account(1).charge(usize::MAX).is_none());
        let _all = account(1).charge(500).unwrap();
    }
}
