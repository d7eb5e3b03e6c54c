//! A whole service over TLS: three parties, clients, and clients that misbehave.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use ndarray::{Array2, ArrayD, array};
use tacit_api::job::{Comparison, Protocol, ProtocolSpec};
use tacit_mpc::keys::Binding;
use tacit_mpc::net::Transport;
use tacit_mpc::{Kernels, PartyId, kernels};
use tacit_nn::model_file::{Dense, Model as Perceptron};
use tacit_nn::onnx::Model;
use tacit_protocols::malicious::Failures;

use super::ask::{AskError, Asker};
use super::{Held, KEY_LIMITS, KeyLimits, ServeError, Served, Service, Tally, Terms};
use crate::net::tests::consortium::{Consortium, Member, Node, Settings};
use crate::net::tests::mute::Mute;
use crate::net::{Peer, SessionId, TlsNet};

mod attacks;
mod cheats;
mod device;
pub(super) mod lies;
mod models;
mod onnx;

fn perceptron() -> Perceptron {
    let layers = vec![
        Dense {
            weight: array![[1.0, -0.5, 0.25], [0.5, 2.0, -1.0]],
            bias: array![[0.1, -0.2, 0.3]],
        },
        Dense {
            weight: array![[1.0, -1.0], [0.5, 0.5], [-2.0, 0.125]],
            bias: array![[0.0, 0.25]],
        },
    ];
    Perceptron::new(vec!["a".into(), "b".into()], layers).unwrap()
}

/// Three parties that serve until their time is over, and the members that may ask.
struct Running {
    nodes: Vec<Node>,
    consortium: Consortium,
    clients: Vec<Member>,
    session: SessionId,
    parties: Vec<JoinHandle<Result<Tally, ServeError>>>,
}

/// What is served, and how.
struct Setup {
    onnx: Vec<u8>,
    held: Held,
    terms: Terms,
    keys: KeyLimits,
    /// What computes the products of all parties.
    kernels: Arc<dyn Kernels>,
    /// The party whose observer panics at the first batch.
    panics: Option<PartyId>,
    /// Makes every message between the parties so late.
    delay: Duration,
    /// Who does what against the protocol.
    lie: Option<(PartyId, lies::Lie)>,
}

impl Setup {
    /// The perceptron, to both clients, in batches of up to eight rows.
    fn new(duration: Duration) -> Self {
        Self {
            onnx: perceptron().to_onnx(),
            held: Held::Public,
            terms: Terms {
                clients: vec!["clinic".into(), "ward".into()],
                fraction_bits: 18,
                protocol: ProtocolSpec {
                    comparison: Comparison::FewBytes,
                    ..ProtocolSpec::default()
                },
                max_rows: 8,
                gather: Duration::ZERO,
                duration,
                bounds: Vec::new(),
            },
            keys: KEY_LIMITS,
            kernels: Arc::from(kernels::cpu()),
            panics: None,
            delay: Duration::ZERO,
            lie: None,
        }
    }

    /// The same by another protocol.
    fn by(mut self, protocol: Protocol) -> Self {
        self.terms.protocol = ProtocolSpec {
            name: protocol,
            ..self.terms.protocol
        };
        self
    }

    fn start(self) -> Running {
        let Self {
            onnx,
            held,
            terms,
            keys,
            kernels,
            panics,
            delay,
            lie,
        } = self;
        let mut consortium = Consortium::new();
        let members = ["north", "west", "south"].map(|name| consortium.member(name));
        let clients = ["clinic", "ward"]
            .map(|name| consortium.client(name))
            .into();
        consortium.client("stranger");
        let nodes: Vec<Node> = members
            .iter()
            .map(|m| m.start(&consortium.roster, Settings::default()))
            .collect();
        let links = SessionId::new("links", 1);
        let session = SessionId::new("service", 1);
        let peers: Vec<Peer> = nodes
            .iter()
            .enumerate()
            .map(|(k, n)| n.as_peer(k))
            .collect();
        let serve = |(me, node): (usize, &Node)| {
            let connector = node.connector.clone();
            let others: Vec<Peer> = peers.iter().filter(|p| p.index != me).cloned().collect();
            let (onnx, terms, kernels) = (onnx.clone(), terms.clone(), kernels.clone());
            thread::spawn(move || {
                let net = connector.connect(links, me, &others).unwrap();
                let lie = lie.filter(|&(liar, _)| liar == me).map(|(_, lie)| lie);
                lies::LIE.set(lie);
                let lies = lie == Some(lies::Lie::Gate);
                let net: Arc<dyn Transport> = Arc::new(Late { net, delay, lies });
                let onnx = Model::parse(&onnx).unwrap();
                // Who does not own the weights knows their shapes alone.
                let model = match held {
                    Held::Owner(owner) if owner != me => {
                        Model::parse(&onnx.skeleton().unwrap().bytes).unwrap()
                    }
                    _ => onnx,
                };
                let service = Service {
                    connector: &connector,
                    session,
                    binding: &Binding {
                        session: session.0,
                        program: [3; 32],
                        identities: vec![[0; 32], [1; 32], [2; 32]],
                    },
                    terms: &terms,
                    keys,
                    kernels: &kernels,
                    failures: &Failures::default(),
                };
                let served = Served::new(model, held, &terms).unwrap();
                let mut observer = |_| assert_ne!(panics, Some(me), "as asked for");
                service.run(&net, served, &mut observer)
            })
        };
        let parties = nodes.iter().enumerate().map(serve).collect();
        Running {
            nodes,
            consortium,
            clients,
            session,
            parties,
        }
    }
}

/// Links on which everything takes its time.
struct Late {
    net: TlsNet,
    delay: Duration,
    /// Changes a bit of every long frame to the party before.
    lies: bool,
}

impl Transport for Late {
    fn me(&self) -> PartyId {
        self.net.me()
    }
    fn send(&self, to: PartyId, frame: Bytes) -> Result<(), tacit_mpc::net::Error> {
        thread::sleep(self.delay);
        if self.lies && to == (self.me() + 2) % 3 && frame.len() > 400 {
            let mut changed = frame.to_vec();
            *changed.last_mut().unwrap() ^= 1;
            return self.net.send(to, changed.into());
        }
        self.net.send(to, frame)
    }
    fn recv(&self, from: PartyId) -> Result<Bytes, tacit_mpc::net::Error> {
        self.net.recv(from)
    }
}

fn start(protocol: Protocol, held: Held, gather: Duration, duration: Duration) -> Running {
    let mut setup = Setup::new(duration).by(protocol);
    (setup.held, setup.terms.gather) = (held, gather);
    setup.start()
}

impl Running {
    fn asker(&self, client: usize) -> Asker {
        let connector =
            self.clients[client].connector(&self.consortium.roster, Settings::default());
        let peers = [0, 1, 2].map(|k| self.nodes[k].as_peer(k));
        Asker::connect(&connector, self.session, &peers).unwrap()
    }

    /// A client that reads nothing.
    fn mute(&self, client: usize) -> Mute {
        let connector =
            self.clients[client].connector(&self.consortium.roster, Settings::default());
        let peers = [0, 1, 2].map(|k| self.nodes[k].as_peer(k));
        let name = self.clients[client].certificate.name();
        Mute::connect(&connector, name, self.session, &peers)
    }

    fn end(self) -> Vec<Tally> {
        self.parties
            .into_iter()
            .map(|p| p.join().unwrap().unwrap())
            .collect()
    }

    /// How each party ended, where somebody cheats.
    fn ends(self) -> Vec<Result<Tally, ServeError>> {
        let ends = self.parties.into_iter().map(|p| p.join().unwrap());
        ends.collect()
    }
}

fn close(got: &[ArrayD<f64>], asked: &Array2<f64>) {
    let want = perceptron().probabilities(asked).unwrap();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].shape(), want.shape());
    for (got, want) in got[0].iter().zip(&want) {
        assert!((got - want).abs() < 1e-3, "{got} instead of {want}");
    }
}

#[test]
fn clients_get_their_own_answers_and_share_batches() {
    let levels = Protocol::ALL.map(|p| [(p, Held::Public), (p, Held::Owner(1))]);
    for (protocol, held) in levels.into_iter().flatten() {
        let gather = Duration::from_millis(300);
        let running = start(protocol, held, gather, Duration::from_secs(6));
        let questions = [
            array![[0.5, -1.0], [2.0, 0.25]],
            array![[-0.5, 1.5]],
            array![[3.0, 3.0], [0.0, 0.0], [1.0, -2.0]],
        ];
        let (mut clinic, mut ward) = (running.asker(0), running.asker(1));
        assert_eq!(clinic.greeting().max_rows, 8);
        let first = clinic.ask(&[questions[0].clone().into_dyn()]).unwrap();
        let second = clinic.ask(&[questions[1].clone().into_dyn()]).unwrap();
        let other = ward.ask(&[questions[2].clone().into_dyn()]).unwrap();
        close(&ward.answer(other).unwrap(), &questions[2]);
        // In another order than asked.
        close(&clinic.answer(second).unwrap(), &questions[1]);
        close(&clinic.answer(first).unwrap(), &questions[0]);
        assert!(matches!(clinic.answer(first), Err(AskError::Question(_))));
        for tally in running.end() {
            assert_eq!((tally.questions, tally.rows), (3, 6));
            assert!(tally.batches <= 2, "{} batches", tally.batches);
        }
    }
}

#[test]
fn questions_that_do_not_fit_are_refused_before_they_are_computed_on() {
    let running = start(
        Protocol::Rep3,
        Held::Public,
        Duration::ZERO,
        Duration::from_secs(8),
    );
    let mut clinic = running.asker(0);
    let wide = array![[1.0, 2.0, 3.0]].into_dyn();
    assert!(matches!(clinic.ask(&[wide]), Err(AskError::Question(_))));
    let long = Array2::zeros((9, 2)).into_dyn();
    assert!(matches!(clinic.ask(&[long]), Err(AskError::Question(_))));
    let huge = array![[65_537.0, 0.0]].into_dyn();
    match clinic.ask(&[huge]) {
        Err(AskError::Question(reason)) => assert!(reason.contains("from -65536 to 65536")),
        other => panic!("{other:?}"),
    }
    let none = array![[f64::NAN, 0.0]].into_dyn();
    assert!(matches!(clinic.ask(&[none]), Err(AskError::Encode(_))));

    // Shares that do not fit together: one bit differs at one party.
    let question = array![[0.5, 0.5]];
    let bad = clinic.ask_changed(&[question.clone().into_dyn()], |peer, message| {
        if peer == 2 {
            *message.last_mut().unwrap() ^= 1;
        }
    });
    let refused = clinic.answer(bad.unwrap());
    assert!(
        matches!(refused, Err(AskError::Refused { .. })),
        "{refused:?}"
    );
    // A message of another length, to one party only: its refusal is enough, whatever the others wait for.
    let short = clinic.ask_changed(&[question.clone().into_dyn()], |peer, message| {
        if peer == 1 {
            message.pop();
        }
    });
    let refused = clinic.answer(short.unwrap());
    assert!(
        matches!(refused, Err(AskError::Refused { .. })),
        "{refused:?}"
    );
    // The service goes on.
    let good = clinic.ask(&[question.clone().into_dyn()]).unwrap();
    close(&clinic.answer(good).unwrap(), &question);
    for tally in running.end() {
        assert_eq!(tally.questions, 1);
    }
}

#[test]
fn garbage_and_strangers_do_not_stop_the_service() {
    let running = start(
        Protocol::Rep3,
        Held::Public,
        Duration::ZERO,
        Duration::from_secs(8),
    );
    let ward = running.asker(1);
    ward.send_raw(0, Bytes::from_static(b"?"));
    let mut clinic = running.asker(0);
    let question = array![[0.5, 0.5]];
    let good = clinic.ask(&[question.clone().into_dyn()]).unwrap();
    close(&clinic.answer(good).unwrap(), &question);
    // A second call of the same client replaces the first.
    let mut again = running.asker(0);
    let good = again.ask(&[question.clone().into_dyn()]).unwrap();
    close(&again.answer(good).unwrap(), &question);
    assert_eq!(running.end()[0].questions, 2);
}
