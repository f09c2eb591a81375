//! Second: lines and frames become share rows and requests.
//!
//! After this system nobody but `reply` knows what protocol a miner speaks.

use crate::conduct;
use crate::resources::{
    Asked, ConnectionIndex, Deadlines, Incoming, JobBoard, LineReply, LiveShares, Moment, PendingRequest, Replies,
    Requests,
};
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ConnectionV2;
use warppool_components::connection::{Connection, ConnectionKey, Protocol};
use warppool_components::limits::WORKERS_PER_CONNECTION_MAX;
use warppool_components::reject::Reject;
use warppool_components::share::{ShareClaim, ShareOrigin, ShareVerdict};
use warppool_components::units::Instant;
use warppool_net::wire::v1::{Message, Request, SubmitError, emit, parse as parse_line, scan_submit};
use warppool_net::wire::v2::message::SubmitSharesError;
use warppool_net::wire::v2::{Message as _, Shares, scan_shares};

/// The columns that `parse` fills.
type Columns = (&'static mut ShareOrigin, &'static mut ShareClaim, &'static mut ShareVerdict);

/// Place of an unknown username.
pub const UNKNOWN_SUBMITTER: u32 = u32::MAX;

/// What is said to a flood of lines that are no requests.
const MALFORMED: &str = "Malformed request";

/// Reads every line once.
#[expect(clippy::too_many_arguments, reason = "a system's parameters are what it touches")]
pub fn parse(
    moment: Res<Moment>,
    incoming: Res<Incoming>,
    index: Res<ConnectionIndex>,
    mut connections: Query<&mut Connection>,
    links: Query<&ConnectionV2>,
    board: Res<JobBoard>,
    mut channels: Query<&mut Channel>,
    mut rows: Query<Columns>,
    mut live: ResMut<LiveShares>,
    mut replies: ResMut<Replies>,
    mut requests: ResMut<Requests>,
    mut deadlines: ResMut<Deadlines>,
) {
    live.0 = 0;
    if incoming.0.lines.is_empty() {
        return;
    }
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let (mut origins, mut claims, mut verdicts) = columns.next().expect("the share rows are spawned at start");
    let mut intake = Intake {
        now: moment.0.instant,
        origins: origins.bypass_change_detection(),
        claims: claims.bypass_change_detection(),
        verdicts: verdicts.bypass_change_detection(),
        live: 0,
        replies: &mut replies,
        requests: &mut requests,
        deadlines: &mut deadlines,
        board: &board,
    };
    let mut sender: Option<Sender> = None;
    for (number, line) in incoming.0.lines.iter().enumerate() {
        if sender.as_ref().is_none_or(|sender| sender.key != line.connection) {
            sender = Sender::find(line.connection, &index, &mut connections, &links, &moment);
        }
        // Lines of a connection that was refused or is gone for longer are nobody's.
        let Some(sender) = &mut sender else { continue };
        if let Some(link) = sender.link {
            intake.frame(number as u32, incoming.0.text(line), sender, link, &mut channels);
            continue;
        }
        let Ok(mut channel) = channels.get_mut(sender.channel) else { continue };
        intake.line(number as u32, incoming.0.text(line), sender, &mut channel);
    }
    live.0 = intake.live;
}

/// Who sent the line at hand.
struct Sender<'a> {
    key: ConnectionKey,
    connection: Entity,
    channel: Entity,
    /// A request of this connection waits for `session`, so what the channel may do is known only after it.
    asked: bool,
    /// The channels by their numbers, on a connection that sends frames.
    link: Option<&'a ConnectionV2>,
}

impl<'a> Sender<'a> {
    fn find(
        key: ConnectionKey,
        index: &ConnectionIndex,
        connections: &mut Query<&mut Connection>,
        links: &'a Query<&ConnectionV2>,
        moment: &Moment,
    ) -> Option<Self> {
        let entity = index.get(key)?;
        let mut connection = connections.get_mut(entity).ok()?;
        connection.heard_at = moment.0.instant;
        let is_v2 = connection.protocol == Protocol::StratumV2;
        let link = if is_v2 { links.get(entity).ok() } else { None };
        Some(Self { key, connection: entity, channel: connection.channel, asked: false, link })
    }
}

/// Where lines go.
struct Intake<'a> {
    now: Instant,
    origins: &'a mut [ShareOrigin],
    claims: &'a mut [ShareClaim],
    verdicts: &'a mut [ShareVerdict],
    live: usize,
    replies: &'a mut Replies,
    requests: &'a mut Requests,
    deadlines: &'a mut Deadlines,
    board: &'a JobBoard,
}

impl Intake<'_> {
    fn line(&mut self, number: u32, text: &[u8], sender: &mut Sender, channel: &mut Channel) {
        if let Some(submit) = scan_submit(text) {
            self.share(number, Some(submit.id), submit.username, Ok(submit.claim), sender, channel);
            return;
        }
        match parse_line(text) {
            Ok(Message { id, request: Request::Submit { username, claim } }) => {
                self.share(number, id.as_deref(), username.as_bytes(), claim, sender, channel);
            }
            Ok(Message { id, request }) => {
                sender.asked = true;
                self.request(number, id.map(|id| id.into_owned()), Asked::Request(owned(request)), sender);
            }
            Err(error) => {
                let is_flood = conduct::is_answered_cheaply(&channel.conduct);
                conduct::count(&mut channel.conduct, 0, 1, self.now, self.deadlines);
                let id = error.id.as_deref().unwrap_or(b"null");
                if is_flood {
                    self.replies.answer(number, |out| emit::error_reply(out, id, emit::CODE_OTHER, MALFORMED));
                    return;
                }
                self.replies.answer(number, |out| emit::error_reply(out, id, emit::CODE_OTHER, &error.to_string()));
            }
        }
    }

    /// A frame of Stratum V2: a share, or something for `session`.
    fn frame(
        &mut self,
        line: u32,
        frame: &[u8],
        sender: &Sender,
        link: &ConnectionV2,
        channels: &mut Query<&mut Channel>,
    ) {
        // Before the setup a share is out of turn like anything else.
        let Some(shares) = scan_shares(frame).filter(|_| link.is_set_up) else {
            self.request(line, None, Asked::Frame, sender);
            return;
        };
        let place = link.channel(shares.channel_id).filter(|place| place.is_extended == shares.is_extended);
        match place.and_then(|place| Some((place.entity, channels.get_mut(place.entity).ok()?))) {
            Some((entity, channel)) => self.share_v2(line, &shares, entity, &channel, sender),
            None => {
                if let Ok(mut trunk) = channels.get_mut(sender.channel) {
                    conduct::count(&mut trunk.conduct, 0, 1, self.now, self.deadlines);
                }
                self.refuse_v2(line, &shares, "invalid-channel-id");
            }
        }
    }

    fn share_v2(&mut self, line: u32, shares: &Shares, entity: Entity, channel: &Channel, sender: &Sender) {
        let row = self.live;
        if row == self.origins.len() {
            self.refuse_v2(line, shares, "too-many-shares");
            return;
        }
        self.live += 1;
        // A channel has one worker, who was named when it was opened.
        self.origins[row] = ShareOrigin { channel: entity, sender: sender.channel, line, submitter: 0 };
        self.claims[row] = ShareClaim { job: self.board.by_number(shares.claim.job.0), ..shares.claim };
        self.verdicts[row] = ShareVerdict { reject: may_not_submit(channel), ..ShareVerdict::default() };
        self.replies.share_ids.push((shares.channel_id, shares.sequence_number));
        self.replies.lines[line as usize] = LineReply::ShareV2(row as u32);
    }

    fn refuse_v2(&mut self, line: u32, shares: &Shares, code: &str) {
        let (channel_id, sequence_number) = (shares.channel_id, shares.sequence_number);
        let error = SubmitSharesError { channel_id, sequence_number, error_code: code.into() };
        self.replies.answer(line, |out| error.encode(out));
    }

    fn request(&mut self, line: u32, id: Option<Vec<u8>>, request: Asked, sender: &Sender) {
        self.requests.0.push(PendingRequest { connection: sender.connection, line, id, request });
    }

    fn share(
        &mut self,
        line: u32,
        id: Option<&[u8]>,
        username: &[u8],
        claim: Result<ShareClaim, SubmitError>,
        sender: &Sender,
        channel: &mut Channel,
    ) {
        let row = self.live;
        if row == self.origins.len() {
            // The sockets never give more lines than there are rows; a simulator might.
            let id = id.unwrap_or(b"null");
            self.replies.answer(line, |out| emit::error_reply(out, id, emit::CODE_OTHER, "Too many shares at once"));
            return;
        }
        self.live += 1;
        let row_number = row as u32;
        let submitter = channel.submitters.find_for_share(username).unwrap_or(UNKNOWN_SUBMITTER);
        let is_flood = conduct::is_answered_cheaply(&channel.conduct);
        self.origins[row] = ShareOrigin { channel: sender.channel, sender: sender.channel, line, submitter };
        self.claims[row] = claim.unwrap_or_default();
        let reject = match claim {
            Err(error) => {
                if !is_flood {
                    self.own_words(row_number, &error.to_string());
                }
                Some(error.reject())
            }
            Ok(_) if sender.asked => None,
            Ok(_) => may_not_submit(channel),
        };
        self.verdicts[row] = ShareVerdict { reject, ..ShareVerdict::default() };
        self.remember_id(id, line, row_number);
        if submitter == UNKNOWN_SUBMITTER && reject.is_none() && !is_flood && self.may_recognise(channel) {
            let username = String::from_utf8_lossy(username).into_owned();
            self.request(line, None, Asked::Recognise { row: row_number, username }, sender);
        }
    }

    /// Whether it is worth asking who a new username is; if not, its shares are the first worker's.
    fn may_recognise(&self, channel: &Channel) -> bool {
        self.now >= channel.recognise_again_at && channel.submitters.len() < WORKERS_PER_CONNECTION_MAX
    }

    fn remember_id(&mut self, id: Option<&[u8]>, line: u32, row: u32) {
        let start = self.replies.text.len() as u32;
        self.replies.text.extend_from_slice(id.unwrap_or_default());
        self.replies.share_ids.push((start, self.replies.text.len() as u32));
        if id.is_some() {
            self.replies.lines[line as usize] = LineReply::Share(row);
        }
    }

    fn own_words(&mut self, row: u32, text: &str) {
        let start = self.replies.text.len() as u32;
        self.replies.text.extend_from_slice(text.as_bytes());
        self.replies.share_texts.push((row, start, self.replies.text.len() as u32));
    }
}

/// Why a channel cannot submit shares at all.
pub fn may_not_submit(channel: &Channel) -> Option<Reject> {
    match (channel.worker, channel.ready) {
        (None, _) => Some(Reject::Unauthorized),
        (Some(_), false) => Some(Reject::NotSubscribed),
        (Some(_), true) => None,
    }
}

/// The request without its ties to the inbox.
fn owned(request: Request<'_>) -> Request<'static> {
    match request {
        Request::Subscribe { user_agent, session } => Request::Subscribe {
            user_agent: user_agent.into_owned().into(),
            session: session.map(|session| session.into_owned().into()),
        },
        Request::Authorize { username, password } => {
            Request::Authorize { username: username.into_owned().into(), password: password.into_owned().into() }
        }
        Request::Submit { username, claim } => Request::Submit { username: username.into_owned().into(), claim },
        Request::Unknown { method } => Request::Unknown { method: method.into_owned().into() },
        Request::Configure(configure) => Request::Configure(configure),
        Request::SuggestDifficulty(difficulty) => Request::SuggestDifficulty(difficulty),
        Request::SuggestTarget(difficulty) => Request::SuggestTarget(difficulty),
        Request::ExtranonceSubscribe => Request::ExtranonceSubscribe,
        Request::Ping => Request::Ping,
        Request::GetVersion => Request::GetVersion,
        Request::MultiVersion => Request::MultiVersion,
        Request::Response => Request::Response,
    }
}
