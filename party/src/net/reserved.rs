//! Addresses of this machine, kept for servers that are started later.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A free address of this machine that stays free for whoever names it, and is given to nobody else.
///
/// A port that is found free, let go and told to a server is anybody's in between: two consortia that start at once
/// then meet on one port. This socket is bound and never listens, so a connection is refused as if nothing were there;
/// the server binds beside it, since both allow the address to be reused ([`socket(7)`], `SO_REUSEADDR`: any sockets
/// but listening ones), and the system hands the port to no other. On systems where two sockets may not share an
/// address, the port is let go at once.
///
/// [`socket(7)`]: https://man7.org/linux/man-pages/man7/socket.7.html
#[derive(Debug)]
pub struct ReservedAddress {
    address: SocketAddr,
    _bound: Option<TcpSocket>,
}

impl ReservedAddress {
    /// Reserves a port of the loopback device, until it is dropped.
    ///
    /// # Errors
    /// What the system says, when no port is free.
    pub fn new() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            _bound: cfg!(target_os = "linux").then_some(socket),
        })
    }

    /// Where the server is to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nobody_answers_there_until_the_server_that_it_is_kept_for() {
        let kept = ReservedAddress::new().unwrap();
        let refused = TcpStream::connect(kept.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // Again and again: a server that is started anew finds its address.
        for _ in 0..3 {
            let server = TcpListener::bind(kept.address()).unwrap();
            TcpStream::connect(kept.address()).unwrap();
            server.accept().unwrap();
        }
    }

    #[test]
    fn a_socket_that_does_not_share_cannot_have_it() {
        let kept = ReservedAddress::new().unwrap();
        let other = TcpSocket::new_v4().unwrap();
        let taken = other.bind(kept.address()).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        drop(kept);
    }
}
