//! One step of the reference model: predict what a command does, then hold the decision to it.
//!
//! Everything is compared for equality but the hand-out to streams, where the server is free within the bounds that
//! `work` checks.

use sessiond_core::command::Command;
use sessiond_core::decide::Decision;
use sessiond_core::ids::{Epoch, InstanceId};
use sessiond_core::index::Due;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::time::Now;

use super::finding::settled;
use super::log::Logged;
use super::sessions::Verdict;
use super::state::Model;
use super::told::{Answer, Expected, Fact, Refusal, events, fact};
use super::work::Pushes;

impl Model {
    /// Takes one decided command; panics when the decision is not what the rules say.
    pub(crate) fn step(
        &mut self,
        command: &Command,
        now: Now,
        said: Result<&Decision, &Rejection>,
    ) {
        self.now = now.engine.0;
        self.wall = now.wall.0;
        let offered = self.offers();
        let mut out = Expected::default();
        let mut pushes = Pushes::of(said);
        let verdict = self.verdict(command, &mut pushes, &mut out);
        match (&verdict, command) {
            (Ok(_), Command::Admit { pool, .. }) => self.serve_line(pool, &mut out),
            // Whoever waits is let in by what comes after it.
            (Ok(_), Command::Restore(_)) => {}
            // Both see to whom they let in.
            (Ok(_), Command::Recovery(_)) => {}
            (Ok(answer), Command::Drain(command)) => self.serve_drained(command, answer, &mut out),
            (_, _) => self.serve_lines(&mut out),
        }
        let decision = match (verdict, said) {
            (Err(wanted), Err(got)) => {
                assert_eq!(Refusal::of(got), wanted, "the refusal");
                assert_eq!(out.facts, [], "a refusal that ends sessions");
                return;
            }
            (Err(wanted), Ok(got)) => {
                let refused = got.refused.as_ref();
                let refused = refused.map(|rejection| Refusal::of(rejection));
                assert_eq!(refused, Some(wanted), "the refusal, not {:?}", got.reply);
                assert_eq!(got.releases, out.releases, "whether something is to go");
                assert_eq!(got.exports, [], "a refusal that asks for an export");
                self.compare_events(&out, got);
                got
            }
            (Ok(wanted), Err(got)) => panic!("refused with {got:?}, not {wanted:?}"),
            (Ok(wanted), Ok(got)) => {
                assert_eq!(got.refused, None, "a refusal");
                assert_eq!(got.releases, out.releases, "whether something is to go");
                let cuts = got.cuts.iter();
                let cuts: Vec<_> = cuts.map(|(of, why)| (*of, Refusal::of(why))).collect();
                assert_eq!(cuts, out.cuts, "which watches are over, and why");
                let exports: Vec<u64> = got.exports.iter().map(|no| no.0).collect();
                assert_eq!(exports, out.exports, "what is to be exported");
                self.compare_events(&out, got);
                self.compare_reply(command, &wanted, &got.reply);
                got
            }
        };
        pushes.settle(self, &mut out);
        self.check_work_conserving();
        self.check_wakes(&offered, decision);
    }

    fn verdict(&mut self, command: &Command, pushes: &mut Pushes, out: &mut Expected) -> Verdict {
        match command {
            Command::Open(open) => return self.open(open, out),
            Command::Update(update) => return self.update(update, out),
            Command::Touch(touch) => return self.touch(touch),
            Command::BeginRequest(begin) => return self.begin_request(begin),
            Command::EndRequest(end) => return self.end_request(end, out),
            Command::End(end) => return self.end(end, out),
            Command::Reset(reset) => return self.reset(reset, out),
            Command::ResetCircuit(reset) => return self.reset_circuit(reset, out),
            Command::Revoke(asked) => return self.revoke(asked, out),
            Command::Purge(purge) => return self.purge(purge, out),
            Command::Retire(retire) => return self.retire(retire.session.0, out),
            Command::Enqueue(enqueue) => return self.enqueue(enqueue, out),
            Command::Claim(claim) => return self.claim(claim, out),
            Command::Settle(settle) => {
                let (codes, touched) = self.settle_all(&settle.namespace, &settle.settlements, out);
                self.after_settle(&touched, out);
                return Ok(Answer::Settled(codes));
            }
            Command::Declare(asked) => return self.declare(asked),
            Command::Register(asked) => return self.register(asked, out),
            Command::Release(asked) => return self.release_one(asked, out),
            Command::Attempted(report) => self.attempted(report, out),
            Command::Node(command) => return self.node_frame(command, out),
            Command::ForgetNode(asked) => self.forget_node(asked),
            Command::Subscription(command) => return self.subscription(command, out),
            Command::Requeue(requeue) => return self.requeue(requeue, out),
            Command::Discard(discard) => return self.discard(discard, out),
            Command::Worker(command) => self.frame(command, out),
            Command::Assign { instance, .. } => self.assign(&instance.1, pushes, out),
            Command::Due(Due::Session(no)) => self.session_due(no.0, out),
            Command::Due(Due::Message(queue, seq)) => self.message_due(queue.0, seq.0, out),
            Command::Due(Due::Lease(epoch)) => self.lease_due(epoch.0, out),
            Command::Due(Due::Queue(queue)) => self.queue_due(queue.0, out),
            Command::Lapse(epoch) => self.lapse(epoch.0, out),
            Command::CalendarDay(day) => self.calendar_day(*day),
            Command::CalendarDone(day) => self.calendar_done(*day),
            Command::Recovery(command) => self.recover_step(*command, out),
            Command::Drain(command) => return Ok(self.drain_step(command, out)),
            Command::Restore(_) | Command::Admit { .. } | Command::Recheck(_) => {}
            Command::CompactEvents { through } => {
                return Ok(Answer::Compacted(self.compact(through.0)));
            }
            Command::Room(shortage) => {
                self.shortage = shortage.map(|shortage| (shortage.free, shortage.enough));
            }
            Command::Attached { .. } => return Ok(self.attached_answer()),
            Command::LeaseProgress => return Ok(self.lease_progress()),
            Command::LeaseTimes(epochs) => return Ok(self.lease_times(epochs)),
            Command::HeldBy(key) => {
                let leases = self.leases_of(&key.1).into_iter();
                let held = leases.map(|epoch| self.leases[&epoch].session);
                return Ok(Answer::Held(held.collect()));
            }
            Command::Reap(reap) => return self.reap(reap, out),
            Command::Explain(asked) => return self.explain(asked),
            Command::ListWorkers { .. } => {
                let here = self.workers.iter();
                let here = here.filter(|(instance, worker)| {
                    worker.stream.is_some() || self.is_remembered(instance)
                });
                let entry = |(instance, _): (&InstanceId, _)| {
                    (instance.to_string(), self.leases_of(instance))
                };
                return Ok(Answer::Listing(here.map(entry).collect()));
            }
        }
        Ok(Answer::Done)
    }

    /// When those of these leases lapse that hold their sessions.
    fn lease_times(&self, epochs: &[Epoch]) -> Answer {
        let current = epochs.iter().filter(|epoch| {
            self.leases
                .get(&epoch.0)
                .is_some_and(|lease| lease.until.is_none())
        });
        let offset = self.wall.wrapping_sub(self.now);
        let entry = |epoch: &Epoch| {
            let at = self.lapse_at(epoch.0).wrapping_add(offset);
            (epoch.to_string(), vec![at])
        };
        Answer::Listing(current.map(entry).collect())
    }

    /// Whether an instance without a stream still has a place: it holds a lease.
    fn is_remembered(&self, instance: &InstanceId) -> bool {
        !self.leases_of(instance).is_empty()
    }

    fn compare_reply(&self, command: &Command, wanted: &Answer, got: &Reply) {
        if let (Command::ListWorkers { .. }, Reply::Workers(_)) = (command, got) {
            // Who has neither a stream nor a lease of a stream may be forgotten or not.
            let (Answer::Listing(got), Answer::Listing(wanted)) = (Answer::of(got), wanted) else {
                panic!("a list is answered with a list");
            };
            for entry in wanted.iter().filter(|(name, _)| self.has_stream(name)) {
                assert!(got.contains(entry), "{entry:?} is missing in {got:?}");
            }
            return;
        }
        assert_eq!(Answer::of(got), *wanted, "the reply");
        if let Reply::Opened { session, .. }
        | Reply::Session { session, .. }
        | Reply::RequestBegun { session, .. }
        | Reply::Revoked { session, .. }
        | Reply::Resource { session, .. } = got
        {
            settled(self, session);
        }
        if let Reply::Reset {
            ended, successor, ..
        } = got
        {
            settled(self, successor);
            ended.iter().for_each(|ended| settled(self, ended));
        }
        if let Reply::Claimed { deliveries, .. } = got {
            for delivery in deliveries {
                self.check_delivery(delivery);
            }
        }
    }

    fn has_stream(&self, name: &str) -> bool {
        let mut workers = self.workers.iter();
        workers.any(|(instance, worker)| instance.as_str() == name && worker.stream.is_some())
    }

    /// Events in order, each with the next revision and its siblings counted.
    fn compare_events(&mut self, out: &Expected, decision: &Decision) {
        let events = events(decision);
        let facts: Vec<_> = events.iter().map(|event| fact(event)).collect();
        assert_eq!(facts, out.facts, "the events");
        for (place, event) in events.iter().enumerate() {
            self.revision += 1;
            self.log.push(Logged {
                siblings_after: event.siblings_after,
                at: event.at.0,
                size: event.size(),
            });
            assert_eq!(event.revision.0, self.revision, "a hole in the log");
            let after = events.len() - place - 1;
            assert_eq!(event.siblings_after as usize, after, "siblings");
            let Some(view) = event.session() else {
                continue;
            };
            let prompt = &view.session.profile.prompt;
            assert!(prompt.is_empty(), "a prompt in an event");
            let volatile = &view.activity.volatile.entries;
            assert!(volatile.is_empty(), "volatile in an event");
            let session = &mut self.sessions[session_place(&out.facts[place])];
            let may_follow = out.facts[place].may_follow_end();
            assert!(
                !session.closed || may_follow,
                "an event about {} after its end",
                session.id
            );
            session.closed |= matches!(out.facts[place], Fact::Ended(_));
            session.revision = event.revision.0;
        }
        assert_eq!(decision.revision.0, self.revision, "the newest revision");
    }
}

fn session_place(fact: &Fact) -> usize {
    usize::try_from(fact.session() - 1).expect("numbers are small here")
}
