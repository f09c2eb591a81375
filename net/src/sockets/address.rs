//! From the operator's text to listening sockets, and the options of accepted ones.

use super::error::NetError;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;
use warppool_components::limits::SOCKET_SEND_BYTES_MAX;

/// Silence after which the system asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Questions without an answer that end the connection.
const KEEPALIVE_PROBES: u32 = 4;

/// One listener for each address.
pub(super) fn listen_all(addresses: &[String], backlog: u32) -> Result<Vec<TcpListener>, NetError> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    addresses
        .iter()
        .map(|address| match address.strip_prefix(':') {
            Some(port) => listen_everywhere(address, port, backlog),
            None => {
                let parsed = address.parse().map_err(|_| NetError::InvalidAddress(address.clone()))?;
                listen(parsed, true, backlog).map_err(|error| NetError::listen(address, error))
            }
        })
        .collect()
}

/// Both families on one socket; IPv4 alone on machines without IPv6.
fn listen_everywhere(address: &str, port: &str, backlog: i32) -> Result<TcpListener, NetError> {
    let port = port.parse().map_err(|_| NetError::InvalidAddress(address.to_owned()))?;
    let result = match listen((Ipv6Addr::UNSPECIFIED, port).into(), false, backlog) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && error.kind() != io::ErrorKind::PermissionDenied => {
            listen((Ipv4Addr::UNSPECIFIED, port).into(), false, backlog)
        }
        result => result,
    };
    result.map_err(|error| NetError::listen(address, error))
}

fn listen(address: SocketAddr, only_v6: bool, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait until the system has forgotten the old connections.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Small messages leave at once, and a peer that vanished without a word is found out.
pub(super) fn set_options(stream: &mio::net::TcpStream) -> io::Result<()> {
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    // Left to itself the kernel takes megabytes for a peer that does not read, and as long as it does nobody notices.
    socket.set_send_buffer_size(SOCKET_SEND_BYTES_MAX)?;
    socket.set_tcp_keepalive(&keepalive)
}
