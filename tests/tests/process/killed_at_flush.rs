//! A server that is killed right before or right after each flush of an end, a reset, a drain and a recovery: whatever was on
//! record by then, each session ends once, for the right reason, and a subscriber hears of it.
//!
//! A flush is where something becomes durable, so between two of them nothing can become of a crash that is not in the list.
//! What this deliberately does not do: kill in the middle of a write; the simulated disk of `crash_redb` does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::flushes::{Flushes, Moment};
use sessiond_tests::requests::{ack, claim, end, id, key, open};
use sessiond_tests::scale::Scale;
use sessiond_tests::subscription::{consume, create};
use sessiond_tests::watch_stream::{WatchStream, about};

use super::drained_by_call::report;
use super::drains::{again, ended, ends, live, request, serving};
use super::run::Run;

/// What a server is killed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A session ends at once.
    End,
    /// One ends once its request has.
    EndGraceful,
    /// One does its work first.
    EndAfterPending,
    /// One goes on as another.
    Reset,
    /// One gives way to another of its key.
    Replace,
    /// All end by one call.
    EndMany,
    /// The server goes.
    Drain,
    /// It starts after it was killed in that.
    Recovery,
}

const ACTS: [Act; 8] = [
    Act::End,
    Act::EndGraceful,
    Act::EndAfterPending,
    Act::Reset,
    Act::Replace,
    Act::EndMany,
    Act::Drain,
    Act::Recovery,
];

/// Flushes of an act that are looked for; none has so many.
const FLUSHES_MAX: u64 = 30;

/// Moments that there are at least, over all acts.
const MOMENTS_MIN: usize = 40;

/// The sessions of a round.
struct Sessions {
    quiet: String,
    busy: String,
    /// The request that holds that one.
    request: String,
    work: String,
    over: String,
}

/// How long a server may take to stop: one session waits for half of it.
const BUDGET: Duration = Duration::from_secs(1);

fn start(directory: &str, flushes: &Flushes) -> Run {
    let mut command = serving(directory, BUDGET);
    flushes.under(&mut command);
    Run::start(command)
}

async fn sessions(caller: &Caller) -> Sessions {
    let made = caller.create_subscription(create("hears")).await;
    made.expect("it is made");
    let opened = async |name| caller.opened(name).await.session_id;
    let (quiet, busy) = (opened("quiet").await, opened("busy").await);
    let (work, over) = (opened("work").await, opened("over").await);
    let request = request(caller, "busy").await;
    caller.enqueued(key("work"), &["m"]).await;
    let completed = end(id(&over), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(completed).await.expect("it ends");
    Sessions {
        quiet,
        busy,
        request,
        work,
        over,
    }
}

/// Ends one session, in a way that may take several calls; answers whether all of them were answered.
async fn call(caller: &Caller, act: Act, on: &Sessions) -> bool {
    let completed = |session: &str, mode| end(id(session), pb::EndReason::Completed, mode);
    match act {
        Act::End => {
            let asked = completed(&on.quiet, pb::EndMode::Immediate);
            caller.end(asked).await.is_ok()
        }
        Act::EndGraceful => {
            let done = pb::EndRequestRequest {
                r#ref: id(&on.busy),
                request_token: on.request.clone(),
            };
            let asked = completed(&on.busy, pb::EndMode::Graceful);
            caller.end(asked).await.is_ok() && caller.end_request(done).await.is_ok()
        }
        Act::EndAfterPending => {
            let asked = completed(&on.work, pb::EndMode::AfterPending);
            let begins = caller.end(asked).await.is_ok();
            let asked = claim(id(&on.work), "w");
            let Some(out) = caller.claim(asked).await.ok().filter(|_| begins) else {
                return false;
            };
            let settle = pb::SettleMessagesRequest {
                settlements: out.deliveries.iter().map(ack).collect(),
            };
            caller.settle(settle).await.is_ok()
        }
        Act::Reset => {
            let asked = pb::ResetSessionRequest {
                r#ref: id(&on.quiet),
                ..pb::ResetSessionRequest::default()
            };
            caller.reset(asked).await.is_ok()
        }
        Act::Replace => {
            let asked = pb::OpenSessionRequest {
                conflict_policy: pb::ConflictPolicy::Replace.into(),
                ..open("quiet")
            };
            caller.open(asked).await.is_ok()
        }
        Act::EndMany => {
            let asked = pb::EndSessionsRequest {
                filter: Some(pb::SessionFilter::default()),
                reason: pb::EndReason::Completed.into(),
                mode: pb::EndMode::Immediate.into(),
                ..pb::EndSessionsRequest::default()
            };
            caller.end_many(asked).await.is_ok()
        }
        Act::Drain | Act::Recovery => unreachable!("nobody calls for it here"),
    }
}

impl Act {
    /// Which sessions it ends, and why.
    fn ends(self, on: &Sessions) -> Vec<(&str, pb::EndReason)> {
        let (quiet, busy, work) = (on.quiet.as_str(), on.busy.as_str(), on.work.as_str());
        let all = |reason| vec![(quiet, reason), (busy, reason), (work, reason)];
        match self {
            Self::End => vec![(quiet, pb::EndReason::Completed)],
            Self::EndGraceful => vec![(busy, pb::EndReason::Completed)],
            Self::EndAfterPending => vec![(work, pb::EndReason::Completed)],
            Self::Reset => vec![(quiet, pb::EndReason::Reset)],
            Self::Replace => vec![(quiet, pb::EndReason::Replaced)],
            Self::EndMany => all(pb::EndReason::Completed),
            Self::Drain | Self::Recovery => all(pb::EndReason::Shutdown),
        }
    }
}

/// Has a server killed at a moment of an act, unless the act is over before: then it is killed behind it. Answers with the
/// sessions, whether that moment came, and whether the act was seen to be done.
async fn killed(directory: &Path, data: &str, act: Act, moment: Moment) -> (Sessions, bool, bool) {
    let flushes = Flushes::new(directory);
    let mut run = start(data, &flushes);
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    let on = sessions(&caller).await;
    let done = match act {
        Act::Drain => {
            flushes.kill_at(moment);
            run.signal(Signal::TERM);
            ended(run).await.0 == Some(0)
        }
        Act::Recovery => {
            let mut watch = WatchStream::from_now(&caller).await;
            run.signal(Signal::TERM);
            watch.event(pb::EventType::SessionDraining, &on.busy).await;
            run.signal(Signal::KILL);
            ended(run).await;
            flushes.kill_at(moment);
            let mut run = start(data, &flushes);
            let serves = run.serves();
            run.signal(Signal::KILL);
            ended(run).await;
            serves
        }
        Act::End
        | Act::EndGraceful
        | Act::EndAfterPending
        | Act::Reset
        | Act::Replace
        | Act::EndMany => {
            flushes.kill_at(moment);
            let done = call(&caller, act, &on).await;
            run.signal(Signal::KILL);
            ended(run).await;
            done
        }
    };
    (on, flushes.killed(), done)
}

/// Every end that the subscription gets, by session.
async fn heard(caller: &Caller) -> BTreeMap<String, pb::EndReason> {
    let watch = WatchStream::open(caller, consume("hears", "hears")).await;
    let mut watch = watch.expect("it reads");
    let mut heard = BTreeMap::new();
    for event in watch.up_to(caller.revision().await).await {
        if let Some(end) = &event.end {
            let before = heard.insert(about(&event).to_owned(), end.reason());
            assert_eq!(before, None, "a session ended twice");
        }
    }
    heard
}

/// Whether the moment came; what is on record after it must be right in either case.
async fn at(act: Act, moment: Moment) -> bool {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let (on, came, done) = killed(temporary.path(), data, act, moment).await;
    let (_run, caller) = again(data).await;
    let ends = ends(&caller).await;
    let why = |session: &str| ends.get(session).map(|end| end.0);
    let point = format!("{act:?}, {moment:?}");
    assert_eq!(why(&on.over), Some(pb::EndReason::Completed), "{point}");
    let meant = act.ends(&on);
    for session in [&on.quiet, &on.busy, &on.work] {
        let reason = meant.iter().find(|(meant, _)| meant == session);
        let reason = reason.map(|(_, reason)| *reason);
        let found = why(session);
        assert!(found.is_none() || found == reason, "{point}: {found:?}");
        assert!(!done || found == reason, "{point}: it was acknowledged");
    }
    // Once the drain is on record, all of it comes true.
    let drained = report(&caller).await.is_some();
    assert!(act != Act::Recovery || drained, "{point}");
    if drained {
        assert_eq!(live(&caller).await, 0, "{point}");
    }
    let told = ends.iter().map(|(id, end)| (id.clone(), end.0)).collect();
    assert_eq!(heard(&caller).await, told, "{point}");
    came
}

/// Proves: G2, B1.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_crash_was_right_before_or_after_each_session_ends_once() {
    let few = [Act::Reset, Act::Drain, Act::Recovery];
    let (acts, flushes) = Scale::from_env().pick(
        (&few[..], 1),
        (&ACTS[..], FLUSHES_MAX),
        (&ACTS[..], FLUSHES_MAX),
    );
    let mut moments = Vec::new();
    for act in acts {
        for flush in 1..=flushes {
            let mut came = false;
            for after in [false, true] {
                let moment = Moment { flush, after };
                if at(*act, moment).await {
                    moments.push(format!("{act:?}, {moment:?}"));
                    came = true;
                }
            }
            if !came {
                assert!(flush > 1, "{act:?} makes nothing durable");
                break;
            }
        }
    }
    println!("{} moments: {moments:#?}", moments.len());
    let all = flushes < FLUSHES_MAX || moments.len() >= MOMENTS_MIN;
    assert!(all, "there were {}: {moments:?}", moments.len());
}
