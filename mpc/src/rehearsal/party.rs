//! One party of a rehearsal: the strands of a window, polled in turn as a session does it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::Desk;
use crate::script::{Act, Recorder, Script, Step, Watch};
use crate::{Chunk, Error, Label, PartyId, Result, Session, Strand};

/// A strand on its way.
struct Running<'s, T> {
    future: Option<Pin<Box<dyn Future<Output = Result<T>> + 's>>>,
    result: Option<T>,
    recorder: Recorder,
}

/// A party while a window is rehearsed.
pub(super) struct Party<'s, T> {
    desk: &'s Desk,
    pub(super) session: &'s Session,
    base: Label,
    strands: Vec<Running<'s, T>>,
    /// The peers that strands wait for.
    pub(super) needed: Vec<PartyId>,
    /// Seconds in which what came was sorted into the inbox.
    sorting: f64,
    watch: Option<Watch>,
}

impl<'s, T> Party<'s, T> {
    /// About to begin with chunks of these lengths and dealers.
    pub(super) fn new(
        desk: &'s Desk,
        session: &'s Session,
        base: Label,
        watch: Option<Watch>,
        chunks: &[(usize, PartyId)],
        gate: &'s impl AsyncFn(Strand<'s>) -> Result<T>,
    ) -> Self {
        let strand = |(index, &(len, dealer)): (usize, &(usize, PartyId))| {
            let chunk = Chunk {
                index,
                start: 0,
                end: len,
                dealer,
            };
            let mut recorder = Recorder::new(watch);
            recorder.resume();
            let future = Some(Box::pin(gate(session.strand(chunk, base))) as _);
            recorder.pause();
            Running {
                future,
                result: None,
                recorder,
            }
        };
        Self {
            desk,
            session,
            base,
            strands: chunks.iter().enumerate().map(strand).collect(),
            needed: Vec::new(),
            sorting: 0.0,
            watch,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.strands.iter().all(|strand| strand.future.is_none())
    }

    /// Follows each strand as far as it comes.
    pub(super) fn poll(&mut self) -> Result<()> {
        let mut context = Context::from_waker(Waker::noop());
        self.needed.clear();
        for strand in &mut self.strands {
            let Some(future) = &mut strand.future else {
                continue;
            };
            strand.recorder.resume();
            let here = std::mem::take(&mut strand.recorder);
            self.session.recorder.replace(Some(here));
            let polled = future.as_mut().poll(&mut context);
            strand.recorder = self.session.recorder.take().unwrap_or_default();
            if polled.is_ready() {
                strand.future = None;
            }
            strand.recorder.pause();
            match polled {
                Poll::Ready(result) => strand.result = Some(result?),
                Poll::Pending => {
                    let blocked = self.session.blocked_on.take();
                    self.needed.extend(blocked.map(|(peer, _)| peer));
                }
            }
        }
        self.needed.sort_unstable();
        self.needed.dedup();
        Ok(())
    }

    /// Takes what has come from those who are waited for; whether anything has.
    pub(super) fn receive(&mut self) -> Result<bool> {
        let start = self.watch.map_or(0.0, Watch::now);
        let mut came = false;
        for &from in &self.needed {
            while self.desk.holds(from) {
                self.session.pump(from, self.base)?;
                came = true;
            }
        }
        self.sorting += self
            .watch
            .map_or(0.0, |watch| watch.between(start, watch.now()));
        Ok(came)
    }

    /// What the strands gave and did; sorting messages is part of awaiting them, each as much.
    pub(super) fn finish(self) -> Result<Vec<(T, Script)>> {
        let s = self.session;
        s.end_pass(self.base)?;
        s.clock.set(s.clock.get().max(s.peak.get()));
        let results = self.strands.into_iter().map(|strand| {
            let result = strand.result.ok_or(Error::Exhausted { what: "results" })?;
            Ok((result, strand.recorder.finish()))
        });
        let mut results = results.collect::<Result<Vec<_>>>()?;
        let scripts = results.iter_mut().flat_map(|(_, script)| &mut script.steps);
        let awaited = |step: &&mut Step| matches!(step.act, Act::Recv { .. });
        let mut awaited: Vec<&mut Step> = scripts.filter(awaited).collect();
        let each = self.sorting / awaited.len().max(1) as f64;
        awaited.iter_mut().for_each(|step| step.seconds += each);
        Ok(results)
    }
}
