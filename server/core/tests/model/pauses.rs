//! The rules of debounce in the reference model: what is held back, and when it is let go.
//!
//! Written from the design's rule 22.

use sessiond_core::message::{Debounce, DeliveryMode};

use super::marks::Mark;
use super::state::{Fate, Model, Status};
use super::told::Expected;

impl Model {
    /// A message is held back: the pause ends later for it, but no later than what is held back allows.
    pub(crate) fn hold_back(&mut self, id: u64, wanted: Debounce) {
        let (now, before) = (self.now, self.queue(id).pause);
        let own = now + wanted.max_wait.0;
        let latest = before.map_or(own, |(_, latest)| latest.min(own));
        let until = (now + wanted.quiet.0).min(latest);
        self.marks.hit_if(before.is_some(), Mark::PauseProlonged);
        self.marks
            .hit_if(before.is_some() && until == latest, Mark::PauseBounded);
        self.queue_mut(id).pause = Some((until, latest));
    }

    /// A pause is over: everything that was held back may go, if there is a session that it could go to.
    pub(crate) fn pause_due(&mut self, id: u64, out: &mut Expected) {
        let now = self.now;
        let queue = self.queue(id);
        let live = matches!(queue.fate, Fate::Serving | Fate::Quiet);
        if !live || queue.pause.is_none_or(|(until, _)| until > now) {
            return;
        }
        let queue = self.queue_mut(id);
        queue.pause = None;
        let held = queue.messages.values_mut();
        let held = held.filter(|message| message.status == Status::Debounced);
        let (mut count, mut interrupts) = (0, false);
        for message in held {
            count += 1;
            message.status = Status::New;
            interrupts |= message.mode == DeliveryMode::Interrupt;
        }
        self.marks.hit_if(count > 0, Mark::PauseOver);
        self.marks.hit_if(count > 1, Mark::PauseOverSeveral);
        self.marks.hit_if(count == 0, Mark::PauseForNothing);
        if interrupts {
            self.interrupt(id, out);
        }
    }
}
