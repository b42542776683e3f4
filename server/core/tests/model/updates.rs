//! The rules of a session's use by its callers in the reference model: update and touch.
//!
//! Written from the design's rules 8 and 23. A refusal is found before anything is written.

use sessiond_core::command::{Touch, Update};

use super::finding::session_answer;
use super::marks::Mark;
use super::sessions::Verdict;
use super::state::Model;
use super::told::{Expected, Fact, Refusal};

impl Model {
    pub(crate) fn update(&mut self, update: &Update, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(update.request.as_ref())? {
            return Ok(session_answer(request.subject, false, true));
        }
        let no = self.find_active(&update.session)?;
        let now = self.now;
        let session = self.session_mut(no);
        let etag = format!("{:x}", session.revision);
        if update.etag.as_ref().is_some_and(|asked| *asked != etag) {
            self.marks.hit(Mark::EtagRefused);
            return Err(Refusal::EtagMismatch);
        }
        let profile = &mut session.profile;
        let set = |field: &mut String, said: &Option<String>| {
            if let Some(said) = said {
                field.clone_from(said);
            }
        };
        set(&mut profile.project, &update.project);
        set(&mut profile.source, &update.source);
        set(&mut profile.agent_id, &update.agent_id);
        set(&mut profile.transcript_path, &update.transcript_path);
        set(&mut profile.prompt, &update.prompt);
        if let Some(labels) = &update.labels {
            profile.labels = labels.clone();
        }
        let limits = &mut session.timeouts;
        limits.idle = update.timeouts.idle.unwrap_or(limits.idle);
        limits.lifetime = update.timeouts.lifetime.unwrap_or(limits.lifetime);
        limits.owner = update.timeouts.owner.unwrap_or(limits.owner);
        session.ordering = update.ordering.unwrap_or(session.ordering);
        session.max_in_flight = update
            .max_in_flight
            .map_or(session.max_in_flight, u32::from);
        match update.prompt_number {
            Some(number) => session.prompt_number = number,
            None => session.prompt_number += u32::from(update.prompt.is_some()),
        }
        // A new prompt is activity; other words about a session are not.
        if update.prompt.is_some() || update.prompt_number.is_some() {
            session.last_activity = now;
        }
        out.facts.push(Fact::Updated(no));
        self.remember(update.request.as_ref(), no, false);
        Ok(session_answer(no, false, false))
    }

    pub(crate) fn touch(&mut self, touch: &Touch) -> Verdict {
        let no = self.find_active(&touch.session)?;
        let now = self.now;
        let session = self.session_mut(no);
        session.last_activity = now;
        session.owner_seen = now;
        session.touches += 1;
        session.usage.add(touch.usage);
        Ok(session_answer(no, false, false))
    }
}
