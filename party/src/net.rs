//! The data plane: frames between parties over TLS 1.3 on blocking sockets.
//!
//! Every pair that talks shares one connection. The party with the higher index dials, the one with the lower index
//! accepts, so contributors that do not compute need no open port. Both ends hold the other's certificate against the
//! roster's fingerprint; the first frame each way is a hello that names the session and the sender.

mod budget;
mod caller;
mod channel;
mod connect;
mod frame;
mod half_open;
mod hello;
mod link;
mod listener;
mod mailbox;
mod outbox;
mod pace;
mod registry;
mod reserved;
mod tls;
mod tls_net;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use budget::Budget;
pub(crate) use caller::{Allowance, Call, Caller};
pub use connect::{Connector, Deadlines, Peer};
pub use frame::MAX_FRAME;
pub use hello::SessionId;
pub use listener::{Limits, Listener};
pub(crate) use pace::RATE;
pub use registry::Registry;
pub use reserved::ReservedAddress;
pub use tls_net::{TlsNet, Traffic};
