//! Plain text on its way out: what a socket did not take at once.
//!
//! Bodies that many connections are sent are queued by reference, never copied. The queue has no bound of its
//! own: its owner compares [`SendQueue::bytes`] with the limit and gives slow readers up.

use std::collections::VecDeque;
use std::io::IoSlice;
use warppool_components::inbox::SharedBytes;

/// A part of what is to be sent.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Bytes for this connection alone; copied when they are queued.
    Own(&'a [u8]),
    /// Bytes that others are sent too.
    Shared(&'a SharedBytes),
}

impl<'a> Piece<'a> {
    /// The bytes.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
enum Segment {
    Own(Vec<u8>),
    Shared(SharedBytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Bytes that wait for a socket, first come, first sent. Holds no memory when empty, and is a single pointer: nearly all
/// connections have nothing waiting nearly always.
#[derive(Debug, Default)]
pub struct SendQueue(Option<Box<Waiting>>);

/// What waits.
#[derive(Debug, Default)]
struct Waiting {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are sent already.
    sent: usize,
    /// Bytes that are not sent, at least one.
    bytes: usize,
}

impl SendQueue {
    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Appends what stands behind the first `sent` bytes of `piece`.
    pub fn push(&mut self, piece: Piece<'_>, sent: usize) {
        if sent < piece.bytes().len() {
            self.0.get_or_insert_default().push(piece, sent);
        }
    }

    /// Fills `slices` from the front and returns how many were filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.fill(slices))
    }

    /// Forgets the first `bytes`: the socket has taken them.
    pub fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes());
        let Some(waiting) = &mut self.0 else { return };
        waiting.advance(bytes);
        if waiting.bytes == 0 {
            self.clear();
        }
    }

    /// Forgets everything and gives the memory back.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl Waiting {
    fn push(&mut self, piece: Piece<'_>, sent: usize) {
        let bytes = &piece.bytes()[sent..];
        self.bytes += bytes.len();
        match (piece, self.segments.back_mut()) {
            // A partly sent body can be queued by reference only where its start is remembered: at the front.
            (Piece::Shared(shared), None) => {
                self.sent = sent;
                self.segments.push_back(Segment::Shared(shared.clone()));
            }
            (Piece::Shared(shared), Some(_)) if sent == 0 => self.segments.push_back(Segment::Shared(shared.clone())),
            (_, Some(Segment::Own(last))) => last.extend_from_slice(bytes),
            _ => self.segments.push_back(Segment::Own(bytes.to_vec())),
        }
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let start = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&segment.bytes()[start..]);
            count += 1;
        }
        count
    }

    fn advance(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.sent += bytes;
        while let Some(first) = self.segments.front().filter(|first| first.bytes().len() <= self.sent) {
            self.sent -= first.bytes().len();
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(queue: &SendQueue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = queue.fill(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(bytes.len(), queue.bytes());
        bytes
    }

    #[test]
    fn what_is_queued_leaves_in_order_whatever_the_socket_takes() {
        let shared: SharedBytes = b"shared".as_slice().into();
        let pieces = [
            Piece::Own(b"one"),
            Piece::Own(b"two"),
            Piece::Shared(&shared),
            Piece::Shared(&shared),
            Piece::Own(b"end"),
        ];
        let whole = b"onetwosharedsharedend";
        for sent in 0..=whole.len() {
            for step in 1..=whole.len() {
                let mut queue = SendQueue::default();
                let mut skip = sent;
                for piece in pieces {
                    let skipped = skip.min(piece.bytes().len());
                    queue.push(piece, skipped);
                    skip -= skipped;
                }
                assert_eq!(rest(&queue), whole[sent..]);
                let mut at = sent;
                while !queue.is_empty() {
                    let taken = step.min(queue.bytes());
                    queue.advance(taken);
                    at += taken;
                    assert_eq!(rest(&queue), whole[at..]);
                }
                assert!(queue.0.is_none(), "an empty queue holds no memory");
            }
        }
    }

    #[test]
    fn shared_bodies_are_not_copied() {
        let shared: SharedBytes = vec![7; 1000].into();
        let mut queue = SendQueue::default();
        queue.push(Piece::Shared(&shared), 10);
        queue.push(Piece::Shared(&shared), 0);
        assert_eq!(std::sync::Arc::strong_count(&shared), 3);
        queue.advance(990);
        assert_eq!(std::sync::Arc::strong_count(&shared), 2);
        queue.clear();
        assert_eq!((queue.bytes(), std::sync::Arc::strong_count(&shared)), (0, 1));
    }
}
