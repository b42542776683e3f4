//! The rules of a reset in the reference model, and callers that ask for one.
//!
//! Written from the design's rules 3 and 8 and the contract's words about what goes over.

use sessiond_core::command::{
    Carry, Command, ConflictPolicy, NewSessionId, Open, Reset, TimeoutOverrides,
};
use sessiond_core::session::{EndReason, Profile};

use super::marks::Mark;
use super::sessions::{GivesWay, Verdict};
use super::state::{Model, Session};
use super::told::{Answer, Expected, Refusal};
use super::world::World;

const REASONS: [EndReason; 4] = [
    EndReason::Reset,
    EndReason::Compacted,
    EndReason::Scheduled,
    EndReason::Replaced,
];

impl Model {
    pub(crate) fn reset(&mut self, reset: &Reset, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(reset.request.as_ref())? {
            return Ok(self.reset_answer(request.subject, true));
        }
        let no = self.find_active(&reset.session)?;
        let etag = format!("{:x}", self.session(no).revision);
        if reset.etag.as_ref().is_some_and(|asked| *asked != etag) {
            self.marks.hit(Mark::EtagRefused);
            return Err(Refusal::EtagMismatch);
        }
        let open = as_open(self.session(no), reset);
        let gives_way = GivesWay {
            old: no,
            reason: reset.reason,
            carry: reset.carry,
        };
        self.refuse_create(&open, Some(gives_way), out)?;
        self.mark_reset(no, reset);
        let successor = self.create(&open, Some(gives_way), out)?;
        self.remember(reset.request.as_ref(), successor, false);
        Ok(self.reset_answer(successor, false))
    }

    fn reset_answer(&self, successor: u64, duplicate: bool) -> Answer {
        let before = self.session(successor).predecessor.as_ref();
        let ended = before.and_then(|id| self.sessions.iter().find(|s| s.id == *id));
        Answer::Reset {
            ended: ended.map(|s| s.no),
            successor,
            duplicate,
        }
    }

    fn mark_reset(&mut self, no: u64, reset: &Reset) {
        let keyless = self.session(no).key.is_none();
        let queue = self.queue(self.session(no).queue);
        let (some, out) = (queue.unsettled() > 0, queue.out() > 0);
        self.marks.hit_if(keyless && some, Mark::ResetWithoutKey);
        match reset.carry {
            Carry::Move => self.marks.hit_if(out, Mark::ResetInFlight),
            Carry::Keep => self.marks.hit_if(some, Mark::ResetKept),
            Carry::Discard => self.marks.hit_if(some, Mark::ResetDiscarded),
        }
    }
}

/// The open that a reset stands for.
fn as_open(old: &Session, reset: &Reset) -> Open {
    let or = |said: &String, old: &String| {
        if said.is_empty() {
            old.clone()
        } else {
            said.clone()
        }
    };
    let said = &reset.profile;
    Open {
        namespace: reset.namespace.clone(),
        key: old.key.clone(),
        id: reset.id.clone(),
        pool: None,
        profile: Profile {
            project: or(&said.project, &old.profile.project),
            source: or(&said.source, &old.profile.source),
            agent_id: or(&said.agent_id, &old.profile.agent_id),
            labels: if said.labels.is_empty() {
                old.profile.labels.clone()
            } else {
                said.labels.clone()
            },
            prompt: said.prompt.clone(),
            transcript_path: said.transcript_path.clone(),
        },
        prompt_number: reset.prompt_number,
        timeouts: TimeoutOverrides {
            idle: Some(reset.timeouts.idle.unwrap_or(old.timeouts.idle)),
            lifetime: Some(reset.timeouts.lifetime.unwrap_or(old.timeouts.lifetime)),
            owner: Some(reset.timeouts.owner.unwrap_or(old.timeouts.owner)),
        },
        conflict: ConflictPolicy::Fail,
        ordering: Some(reset.ordering.unwrap_or(old.ordering)),
        max_in_flight: reset
            .max_in_flight
            .or(std::num::NonZeroU32::new(old.max_in_flight)),
        parent: None,
        wait: None,
        request: None,
        actor: reset.actor.clone(),
    }
}

impl World {
    /// A caller that resets a session, now and then twice.
    pub(crate) fn reset(&mut self) {
        let open = self.an_open(None);
        let etag = match self.rng.u32(..8) {
            0 => Some("0".to_owned()),
            1 => {
                let newest = self.model.sessions.last().map_or(0, |s| s.revision);
                Some(format!("{newest:x}"))
            }
            _ => None,
        };
        let session = match self.rng.u32(..4) {
            0 => self.some_bearer(),
            _ => None,
        };
        let session = session.unwrap_or_else(|| self.some_session());
        let carries = [Carry::Move, Carry::Move, Carry::Keep, Carry::Discard];
        let reset = Reset {
            namespace: self.namespace.clone(),
            session,
            reason: REASONS[self.rng.usize(..REASONS.len())],
            detail: String::new(),
            id: open.id,
            carry: carries[self.rng.usize(..carries.len())],
            profile: open.profile,
            prompt_number: open.prompt_number,
            timeouts: open.timeouts,
            ordering: open.ordering,
            max_in_flight: open.max_in_flight,
            parent: None,
            etag,
            request: self.tag(6),
            actor: open.actor,
        };
        let again = self.rng.u32(..8) == 0;
        let _ = self.submit(&Command::Reset(Box::new(reset.clone())));
        if again {
            let id = NewSessionId::Drawn(self.some_id());
            let _ = self.submit(&Command::Reset(Box::new(Reset { id, ..reset })));
        }
    }
}
