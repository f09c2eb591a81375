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

/// Bytes that wait for a socket, first come, first sent. Holds no memory when empty.
#[derive(Debug, Default)]
pub struct SendQueue {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are sent already.
    sent: u32,
    bytes: u32,
}

impl SendQueue {
    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many bytes wait.
    pub const fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Appends what stands behind the first `sent` bytes of `piece`.
    pub fn push(&mut self, piece: Piece<'_>, sent: usize) {
        let bytes = &piece.bytes()[sent..];
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len() as u32;
        match (piece, self.segments.back_mut()) {
            // A partly sent body can be queued by reference only where its start is remembered: at the front.
            (Piece::Shared(shared), None) => {
                self.sent = sent as u32;
                self.segments.push_back(Segment::Shared(shared.clone()));
            }
            (Piece::Shared(shared), Some(_)) if sent == 0 => self.segments.push_back(Segment::Shared(shared.clone())),
            (_, Some(Segment::Own(last))) => last.extend_from_slice(bytes),
            _ => self.segments.push_back(Segment::Own(bytes.to_vec())),
        }
    }

    /// Fills `slices` from the front and returns how many were filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            let start = if count == 0 { self.sent as usize } else { 0 };
            *slice = IoSlice::new(&segment.bytes()[start..]);
            count += 1;
        }
        count
    }

    /// Forgets the first `bytes`: the socket has taken them.
    pub fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes());
        self.bytes -= bytes as u32;
        self.sent += bytes as u32;
        while let Some(first) = self.segments.front().filter(|first| first.bytes().len() <= self.sent as usize) {
            self.sent -= first.bytes().len() as u32;
            self.segments.pop_front();
        }
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
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
                assert_eq!(queue.segments.capacity(), 0, "an empty queue holds no memory");
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
