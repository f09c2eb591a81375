//! The pool's side of the socket.

use super::wire::{self, Answer, Order, host_and_port};
use crate::runtime::Stop;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use warppool_components::inbox::{MinerMessage, MinerMessageContent};
use warppool_components::limits::CONTROL_REQUESTS_QUEUED_MAX;

/// How long one who has connected may take to say what he wants; the next one waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the engine may take for a tick.
const TICK_MAX: Duration = Duration::from_secs(5);

/// The thread that takes orders. It ends, and the socket is removed, when this is dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Takes orders at `path` for the pool behind `stop`. A pool serves miners without it too, so a socket that cannot
    /// be had is told to the operator and is no more.
    pub fn listen(path: &Path, stop: Stop) -> Option<Self> {
        match Self::start(path, stop) {
            Ok(control) => Some(control),
            Err(error) => {
                tracing::warn!(
                    "no orders are taken at {}, so warppool message and reconnect cannot work: {error}",
                    path.display()
                );
                None
            }
        }
    }

    fn start(path: &Path, stop: Stop) -> io::Result<Self> {
        let listener = bind(path)?;
        let ending = Arc::new(AtomicBool::new(false));
        let is_ending = Arc::clone(&ending);
        let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
            for stream in listener.incoming() {
                if is_ending.load(Ordering::Acquire) {
                    return;
                }
                let served = stream.and_then(|stream| serve(stream, &stop));
                if let Err(error) = served {
                    tracing::debug!("an order came to nothing: {error}");
                    // A system that gives no connections must not be asked in a tight loop.
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        })?;
        Ok(Self { path: path.to_path_buf(), ending, thread: Some(thread) })
    }
}

/// The socket is its owner's alone before anybody can connect: permissions come between its name and its listening.
fn bind(path: &Path) -> io::Result<UnixListener> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(CONTROL_REQUESTS_QUEUED_MAX as i32)?;
    Ok(UnixListener::from(std::os::fd::OwnedFd::from(socket)))
}

/// Removes the socket of a pool that was killed. A pool that still runs keeps its own, and so does any other file.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path),
    }
}

fn serve(mut stream: UnixStream, stop: &Stop) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let answer = match wire::read::<Order>(&stream) {
        Ok(order) => carry_out(order, stop),
        Err(error) => Answer::Refused(format!("the order is not understood: {error}")),
    };
    stream.write_all(wire::line(&answer).as_bytes())
}

fn carry_out(order: Order, stop: &Stop) -> Answer {
    if let Err(why) = order.check() {
        return Answer::Refused(why);
    }
    let (worker, content) = match order {
        Order::Message { worker, text } => (worker, MinerMessageContent::Show(text.into())),
        Order::Reconnect { worker, place } => {
            let place = place.as_deref().and_then(|place| host_and_port(place).ok());
            let place = place.map(|(host, port)| (host.into(), port));
            (worker, MinerMessageContent::Reconnect(place))
        }
    };
    let message = MinerMessage { worker: worker.map(Into::into), content };
    let told = stop.tell_miners(message).and_then(|answer| answer.recv_timeout(TICK_MAX).ok());
    told.map_or_else(|| Answer::Refused("the pool is too busy to tell miners anything".to_owned()), Answer::Shown)
}

impl Drop for Control {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes the thread; nobody answers.
        let woken = UnixStream::connect(&self.path).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // A panic in it has been reported by itself.
            let _ = thread.join();
        }
        // It may be gone already.
        let _ = fs::remove_file(&self.path);
    }
}
