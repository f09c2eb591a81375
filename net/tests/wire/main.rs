//! Stratum V1 as miners really speak it, and what they are answered.

mod differential;
mod replies;
mod requests;
