//! Runs in which one party cheats, and what must hold of each of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ndarray::ArrayD;
use tacit_mpc::net::Transport;
use tacit_mpc::simulate::simulate_seeded;
use tacit_mpc::{Error, PartyId, Session};
use tacit_nn::run;
use tacit_protocols::malicious::MaliciousEngine;

use super::attack::{Attack, mesh};
use super::graphs::Case;

/// How many places of a run are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sweep {
    /// So many, spread over the run, other ones for each cheater.
    Sample(usize),
    All,
}

impl Sweep {
    fn places(self, of: usize, cheater: PartyId) -> impl Iterator<Item = usize> {
        let step = match self {
            Self::Sample(n) => (3 * of).div_ceil(n).max(3),
            Self::All => 1,
        };
        (cheater * step / 3..of).step_by(step)
    }
}

/// Nobody waits longer for an honest party.
const PATIENT: Duration = Duration::from_secs(20);
/// What is withheld is missed after this time.
const IMPATIENT: Duration = Duration::from_millis(250);
/// A dealer may choose how a number is rounded: by so much the outputs differ then.
const ROUNDING: f64 = 1.0 / 512.0;

type Outputs = Vec<ArrayD<f64>>;

/// One party's run: inputs, a third of them each party's, the graph, the proof, the opening.
fn program(case: &Case, session: Session) -> tacit_nn::Result<Outputs> {
    let me = session.me();
    let mut e = MaliciousEngine::new(session, 18)?;
    e.verify_every(case.verify_every);
    let shared = (0..).zip(&case.inputs).map(|(k, x)| {
        let owner = k % 3;
        e.input(owner, x.shape(), (me == owner).then_some(x))
    });
    let shared = shared.collect::<tacit_nn::Result<Vec<_>>>()?;
    let outputs = run(&case.graph, &mut e, &shared)?;
    let proved = e.prove()?;
    outputs.iter().map(|y| proved.reveal(y)).collect()
}

/// What each party gives out. `prepare` may change a party's session before it starts.
fn outcome(
    case: &Case,
    nets: Vec<Arc<dyn Transport>>,
    prepare: impl Fn(&Session) + Sync,
) -> Vec<Result<Outputs, Error>> {
    simulate_seeded(nets, 3, |session| {
        prepare(&session);
        program(case, session).map_err(|e| match e {
            tacit_nn::Error::Protocol(e) => *e.downcast::<Error>().unwrap(),
            other => panic!("{other}"),
        })
    })
}

fn distance(got: &Outputs, want: &Outputs) -> f64 {
    let both = got.iter().flatten().zip(want.iter().flatten());
    both.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// What became of the runs.
#[derive(Default)]
struct Tally {
    tried: usize,
    /// Both honest parties gave out the right value.
    passed: usize,
    /// One of them did, the other aborted.
    selective: usize,
    /// The cheater was named alone by an honest party.
    named: usize,
}

impl Tally {
    /// Judges the outcome of one run: its honest parties give out nothing, or a value no further than `apart` from `want`.
    /// Returns whether both gave a value.
    fn judge(
        &mut self,
        what: &str,
        cheater: PartyId,
        results: &[Result<Outputs, Error>],
        want: &Outputs,
        apart: f64,
    ) -> bool {
        let honest = [(cheater + 1) % 3, (cheater + 2) % 3].map(|p| &results[p]);
        for got in honest.iter().filter_map(|r| r.as_ref().ok()) {
            let wrong = distance(got, want);
            assert!(
                wrong <= apart,
                "{what}: an honest party gave out a value {wrong} off"
            );
        }
        if let [Ok(a), Ok(b)] = honest {
            assert_eq!(a, b, "{what}: the honest parties gave out different values");
        }
        let given = honest.iter().filter(|r| r.is_ok()).count();
        let alone = |e: &Error| e.culprit() == Some(cheater);
        self.tried += 1;
        self.passed += usize::from(given == 2);
        self.selective += usize::from(given == 1);
        self.named += usize::from(honest.iter().any(|r| r.as_ref().is_err_and(alone)));
        given == 2
    }

    fn print(&self, case: &Case, what: &str) {
        let Self {
            tried,
            passed,
            selective,
            named,
        } = self;
        println!(
            "{}, {what}: {tried} runs, {passed} right and {} aborted ({selective} at one party only, the cheater named alone in {named})",
            case.name,
            tried - passed
        );
    }
}

/// Whether an honest party suspects the cheater.
fn suspected(cheater: PartyId, results: &[Result<Outputs, Error>]) -> bool {
    let honest = [(cheater + 1) % 3, (cheater + 2) % 3].map(|p| &results[p]);
    let mut errors = honest.into_iter().filter_map(|r| r.as_ref().err());
    errors.any(|e| match e {
        Error::CheckFailed { suspects, .. } => suspects.contains(&cheater),
        e => e.culprit() == Some(cheater),
    })
}

/// The outputs of an honest run, and how many messages the cheater sends in it.
fn honest(case: &Case, cheater: PartyId) -> (Outputs, usize) {
    let (nets, sent) = mesh(None, cheater, PATIENT);
    let results = outcome(case, nets, |_| ());
    let outputs: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert!(outputs.iter().all(|o| o == &outputs[0]));
    (outputs[0].clone(), sent.load(Ordering::Relaxed))
}

/// One message of one party attacked.
pub(crate) fn messages(case: &Case, attack: Attack, sweep: Sweep) {
    let mut tally = Tally::default();
    for cheater in 0..3 {
        let (want, sent) = honest(case, cheater);
        assert!(sent > 50, "{sent} messages");
        for at in sweep.places(sent, cheater) {
            let deadline = if attack.withholds() {
                IMPATIENT
            } else {
                PATIENT
            };
            let (nets, _) = mesh(Some((attack, at)), cheater, deadline);
            let results = outcome(case, nets, |_| ());
            let what = format!(
                "{}, {attack:?}, message {at} of {sent} of party {cheater}",
                case.name
            );
            let passed = tally.judge(&what, cheater, &results, &want, 0.0);
            assert!(!passed || attack.may_pass(), "{what}: nobody noticed");
            assert!(
                passed || attack.withholds() || suspected(cheater, &results),
                "{what}: {results:?}"
            );
        }
    }
    tally.print(case, &format!("{attack:?}"));
}

/// One draw of one party's keys is another at this party alone: it follows the protocol from there, with an error that it
/// knows in whatever the draw masks or shares.
pub(crate) fn draws(case: &Case, sweep: Sweep) {
    let mut tally = Tally::default();
    for cheater in 0..3 {
        let ledger = Arc::new(Mutex::new(Vec::new()));
        let (nets, _) = mesh(None, cheater, PATIENT);
        let results = outcome(case, nets, |session| {
            if session.me() == cheater {
                *session.prss().probe().ledger.borrow_mut() = Some(Arc::clone(&ledger));
            }
        });
        let want = results[0].as_ref().unwrap().clone();
        let ledger = ledger.lock().unwrap();
        for at in sweep.places(ledger.len(), cheater) {
            let (key, address, _) = ledger[at];
            let (nets, _) = mesh(None, cheater, PATIENT);
            let results = outcome(case, nets, |session| {
                if session.me() == cheater {
                    *session.prss().probe().changed.borrow_mut() = Some((key, address));
                }
            });
            let what = format!(
                "{}, draw {at} of {} of party {cheater}",
                case.name,
                ledger.len()
            );
            let passed = tally.judge(&what, cheater, &results, &want, ROUNDING);
            assert!(
                passed || suspected(cheater, &results),
                "{what}: {results:?}"
            );
        }
    }
    tally.print(case, "another draw");
}
