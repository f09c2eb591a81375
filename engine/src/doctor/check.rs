//! What is checked, each with a name, the rules of the protocol behind it, and what a good pool does.

/// One property of a pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "CHECKS says what each one means")]
pub enum Check {
    Connects,
    StaysConnected,
    Certificate,
    Tls12,
    JsonLines,
    ReplyShape,
    ReplyId,
    ReplyOrder,
    NotificationShape,
    Subscribe,
    SubscribeFirst,
    RepeatedSubscribe,
    Extranonce,
    Configure,
    Authorize,
    AuthorizeQuiet,
    SecondAuthorize,
    FirstJob,
    DifficultyFirst,
    DifficultyNumber,
    JobShape,
    JobSize,
    JobId,
    JobWork,
    RollableBits,
    SuggestDifficulty,
    ExtranonceSubscribe,
    Ping,
    UnknownMethod,
    Framing,
    LongLine,
    GoodShare,
    ShortNonce,
    Duplicate,
    UnknownJob,
    LowDifficulty,
    Unauthorized,
    IdleJob,
}

/// A check for people.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Which one.
    pub check: Check,
    /// What `--only` calls it.
    pub name: &'static str,
    /// What a good pool does.
    pub meaning: &'static str,
}

const fn about(check: Check, name: &'static str, meaning: &'static str) -> About {
    About { check, name, meaning }
}

/// All of them, in the order of the report.
pub const CHECKS: [About; 38] = [
    about(Check::Connects, "connects", "takes every connection of a few in a row"),
    about(Check::StaysConnected, "stays-connected", "does not hang up on a miner that has done nothing wrong"),
    about(Check::Certificate, "certificate", "has a certificate that strangers believe, in a chain under 4 KB"),
    about(Check::Tls12, "tls-1.2", "speaks TLS 1.2 with devices that know no other"),
    about(Check::JsonLines, "json-lines", "sends one JSON object a line and nothing else"),
    about(Check::ReplyShape, "reply-shape", "answers with id, result and error; an error is [code, text, ...]"),
    about(Check::ReplyId, "reply-id", "echoes the id as it was written: number, string, null, fraction"),
    about(Check::ReplyOrder, "reply-order", "answers in the order of the requests"),
    about(Check::NotificationShape, "notification-shape", "sends notifications with the id null"),
    about(Check::Subscribe, "subscribe", "answers mining.subscribe with [[...], extranonce1, size]"),
    about(Check::SubscribeFirst, "subscribe-first", "says nothing before that answer, which names mining.notify"),
    about(Check::RepeatedSubscribe, "repeated-subscribe", "gives the same values when asked again"),
    about(Check::Extranonce, "extranonce", "leaves the miner 2 to 8 bytes and has a part of its own"),
    about(Check::Configure, "configure", "answers every subset of extensions with valid JSON, one member each"),
    about(Check::Authorize, "authorize", "authorizes the worker, before or after mining.subscribe"),
    about(Check::AuthorizeQuiet, "authorize-quiet", "sends nothing between mining.authorize and its answer"),
    about(Check::SecondAuthorize, "second-authorize", "keeps the first worker when a second one is refused"),
    about(Check::FirstJob, "first-job", "sends a job with clean_jobs=true soon after authorize"),
    about(Check::DifficultyFirst, "difficulty-first", "sends the difficulty before the job that it governs"),
    about(Check::DifficultyNumber, "difficulty-number", "writes the difficulty as a plain number above 0"),
    about(Check::JobShape, "job-shape", "sends jobs of nine parameters whose coinbase is a transaction"),
    about(Check::JobSize, "job-size", "sends jobs of less than 2.5 KB, for small devices"),
    about(Check::JobId, "job-id", "never uses a job id twice on a connection"),
    about(Check::JobWork, "job-work", "never sends the same work twice"),
    about(Check::RollableBits, "rollable-bits", "sends versions whose rollable bits are zero"),
    about(Check::SuggestDifficulty, "suggest-difficulty", "answers suggestions, also of 0.00015 and repeated ones"),
    about(Check::ExtranonceSubscribe, "extranonce-subscribe", "answers mining.extranonce.subscribe"),
    about(Check::Ping, "ping", "answers mining.ping"),
    about(Check::UnknownMethod, "unknown-method", "answers a method that it does not know with an error"),
    about(Check::Framing, "framing", "reads lines however they are cut, with CRLF and blank ones between"),
    about(Check::LongLine, "long-line", "lets an endless line cost nobody but its sender"),
    about(Check::GoodShare, "good-share", "accepts a share that meets the difficulty"),
    about(Check::ShortNonce, "short-nonce", "reads a nonce whose leading zeros are left out"),
    about(Check::Duplicate, "duplicate", "refuses the same share again with code 22"),
    about(Check::UnknownJob, "unknown-job", "refuses a share of a job that it never sent with code 21"),
    about(Check::LowDifficulty, "low-difficulty", "refuses a share that misses the difficulty with code 23"),
    about(Check::Unauthorized, "unauthorized", "refuses a share of nobody with code 24 or 25"),
    about(Check::IdleJob, "idle-job", "sends something at least every 60 s (with --long)"),
];

impl Check {
    /// What people are told about it.
    pub fn about(self) -> &'static About {
        CHECKS.iter().find(|about| about.check == self).expect("CHECKS has them all; a test says so")
    }

    /// What `--only` calls it.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// The check of a name.
    pub fn named(name: &str) -> Option<Self> {
        CHECKS.iter().find(|about| about.name == name).map(|about| about.check)
    }

    /// What a request shows when it is not answered, or not as it should be.
    pub(super) fn of_method(method: &str) -> Self {
        match method {
            "mining.subscribe" => Self::Subscribe,
            "mining.authorize" => Self::Authorize,
            "mining.configure" => Self::Configure,
            "mining.suggest_difficulty" | "mining.suggest_target" => Self::SuggestDifficulty,
            "mining.extranonce.subscribe" => Self::ExtranonceSubscribe,
            "mining.ping" => Self::Ping,
            "mining.submit" => Self::GoodShare,
            _ => Self::UnknownMethod,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_is_described_once_and_in_order() {
        let all: Vec<Check> = CHECKS.iter().map(|about| about.check).collect();
        assert!(all.is_sorted() && *all.last().expect("some") == Check::IdleJob);
        assert_eq!(all.len(), Check::IdleJob as usize + 1);
        assert_eq!(CHECKS.iter().map(|about| about.name).collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|check| Check::named(check.name()) == Some(*check)));
    }
}
