//! Both protocols on the wire: Stratum V1 as miners really speak it, Stratum V2 as the reference project reads it.

mod differential;
mod replies;
mod requests;
mod v2;
