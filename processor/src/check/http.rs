use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::{Verdict, fail, ok, warn};

/// Whether the status page can listen there.
pub(super) fn check(listen: SocketAddr) -> Verdict {
    let what = format!("http.listen = {:?}", listen.to_string());
    match TcpListener::bind(listen) {
        Ok(_) if listen.ip().is_loopback() => ok(what, "is free"),
        Ok(_) => ok(what, "is free, and reachable from other machines: the page asks for no password"),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            warn(what, "is in use: by a running processor? If not, choose another port, or 0 for any")
        }
        Err(error) => fail(what, format!("cannot be listened on: {error}; use an address of this machine")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_port_in_use_is_a_warning_and_a_foreign_address_a_failure() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(check(taken.local_addr().unwrap()).level, Level::Warn);
        assert_eq!(check("127.0.0.1:0".parse().unwrap()).level, Level::Ok);
        // An address for documentation only (RFC 5737), which no machine has.
        assert_eq!(check("192.0.2.1:1".parse().unwrap()).level, Level::Fail);
    }
}
