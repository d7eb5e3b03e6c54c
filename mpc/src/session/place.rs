//! The place of a session in its program: run, node, pass, and checks in the midst of them.

use super::{Label, Session};
use crate::{Error, Result};

impl Session {
    /// Starts a new run of a graph: the same nodes get new addresses (R5).
    ///
    /// # Errors
    /// [`Error::Exhausted`] after 2^32 − 1 runs, or those of [`Session::limit_runs`], under the same keys.
    pub fn begin_run(&self) -> Result<()> {
        let next = self
            .invocation
            .get()
            .checked_add(1)
            .filter(|&next| next <= self.runs)
            .ok_or(Error::Exhausted {
                what: "invocation numbers",
            })?;
        self.enter_run(next);
        Ok(())
    }

    pub(super) fn enter_run(&self, invocation: u32) {
        self.invocation.set(invocation);
        self.checks.set(0);
        self.nodes_run.borrow_mut().clear();
        self.node.set(0);
        self.pass.set(0);
    }

    /// Enters a node of the graph.
    pub fn begin_node(&self, node: u32) {
        self.node.set(node);
        self.pass.set(0);
    }

    /// Runs `check` as the next check of this run: under node 2^24 - 1 or the next one below, which no graph reaches. Afterwards
    /// the session is in the node and pass where it was.
    ///
    /// # Errors
    /// [`Error::Exhausted`] after 2^20 checks in one run, or what `check` returns.
    pub fn in_check<T>(&self, check: impl FnOnce() -> Result<T>) -> Result<T> {
        let number = self.checks.get();
        if number >= 1 << 20 {
            return Err(Error::Exhausted { what: "checks" });
        }
        self.checks.set(number + 1);
        let (node, pass) = (self.node.get(), self.pass.get());
        self.begin_node((1 << 24) - 1 - number);
        self.around_check.set(Some((node, pass)));
        let result = check();
        self.around_check.set(None);
        self.node.set(node);
        self.pass.set(pass);
        result
    }

    /// The label of the next pass over the strands of the current node.
    pub(crate) fn begin_pass(&self) -> Result<Label> {
        let (node, pass) = (self.node.get(), self.pass.get());
        let label = Label {
            invocation: self.invocation.get(),
            node,
            strand: 0,
            gate: pass << 12,
        };
        if node >= 1 << 24 || pass > 15 {
            return Err(Error::Exhausted {
                what: "node numbers",
            });
        }
        if pass == 0 && !self.nodes_run.borrow_mut().insert(node) {
            return Err(Error::Reuse { label });
        }
        self.pass.set(pass + 1);
        Ok(label)
    }

    /// After a pass: nothing that belongs to it may be left over.
    pub(crate) fn end_pass(&self, label: Label) -> Result<()> {
        self.flush()?;
        match self
            .inbox
            .borrow()
            .keys()
            .find(|(_, l)| l.pass() == label.pass())
        {
            Some(&(peer, got)) => Err(Error::Desync {
                peer,
                want: label,
                got,
            }),
            None => Ok(()),
        }
    }

    /// Whether the pass of `label` was already run in this invocation.
    pub(super) fn is_past(&self, label: Label) -> bool {
        let pass = label.gate >> 12;
        label.invocation == self.invocation.get()
            && match self.around_check.get() {
                _ if label.node == self.node.get() => pass < self.pass.get().saturating_sub(1),
                // A peer that has ended the check goes on in the node around it.
                Some((node, next)) if label.node == node => pass < next,
                _ => self.nodes_run.borrow().contains(&label.node),
            }
    }
}
