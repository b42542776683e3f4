//! A sweep: the processes of one resource, as far as they are known, each held by a pin.
//!
//! The tree is gathered anew as often as it is asked for, because it may grow while it is ended. What makes a process a
//! member is looked at twice: in the rows of all processes, which are cheap and may be old, and again once it is held,
//! while the member that vouches for it is seen to hold its own number still.
//!
//! ```text
//! a process belongs if   its parent is a member
//!                   or   its group or session is led by a member, or was and a member is still in it
//!                   or   it is of our user and carries the marker
//!                   or   it is in a cgroup that is named after the marker
//! ```
//!
//! Invariant: only members are signalled, and no member is on the deny list. A group or a session that a member is in
//! but no member led is not taken: it may be ours, or that of whoever started the member. What this deliberately does
//! not do: wait, choose a signal, or follow the descendants of a process it must not signal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::deny::{Denial, Ourselves};
use crate::fault::{Fault, Mark, Row};
use crate::ourselves::{denial_of, ourselves, refuse_own_marker};
use crate::platform::{self, Pin};
use crate::terms::{PROCESSES_MAX, Released, Survivor, Terms};

mod cgroups;
mod member;

use cgroups::Cgroups;
pub(crate) use member::Step;
pub(crate) use member::survivor;
use member::{Member, send};

/// How many members are held at once, each with a descriptor: what is beyond is gathered when these have ended. Half of
/// the 1,024 descriptors that a process may have open by default.
const MEMBERS_MAX: usize = 512;

/// The processes of one resource.
#[derive(Debug)]
pub(crate) struct Sweep<'a> {
    terms: &'a Terms,
    ourselves: Ourselves,
    /// By pid: a number has one member, as long as that holds it.
    members: BTreeMap<i32, Member>,
    /// Groups that a member led, as long as a member is in them.
    groups: BTreeSet<i32>,
    /// Sessions likewise.
    sessions: BTreeSet<i32>,
    cgroups: Cgroups,
    /// What belongs but is not signalled, by pid, as of the last look.
    spared: BTreeMap<i32, Survivor>,
    /// Members that processes without room may hang on, as of the last look.
    anchors: BTreeSet<i32>,
    /// What could not be told at the last look, by pid: it showed no environment, or its parent ended meanwhile.
    unsure: BTreeSet<i32>,
    /// Whether any member was brought further than gathered.
    signalled: bool,
}

impl<'a> Sweep<'a> {
    /// Of nothing yet: what carries the marker, if there is one, is gathered all the same.
    pub(crate) fn new(terms: &'a Terms) -> Result<Self, Denial> {
        if let Some(marker) = &terms.marker {
            refuse_own_marker(marker)?;
        }
        Ok(Self {
            terms,
            ourselves: ourselves()?,
            members: BTreeMap::new(),
            groups: BTreeSet::new(),
            sessions: BTreeSet::new(),
            cgroups: Cgroups::find(terms.marker.as_ref()),
            spared: BTreeMap::new(),
            anchors: BTreeSet::new(),
            unsure: BTreeSet::new(),
            signalled: false,
        })
    }

    /// How it goes about it.
    pub(crate) fn terms(&self) -> &'a Terms {
        self.terms
    }

    /// Adds a process that was verified, and with it all that descends from it.
    pub(crate) fn add(&mut self, pin: Pin) -> Result<(), Denial> {
        let row = match pin.row() {
            Ok(row) => row,
            Err(Fault::Gone) => return Ok(()),
            Err(fault) => return Err(fault.into()),
        };
        match denial_of(&pin, &row, &self.ourselves) {
            Ok(None) => {
                self.cgroups.note(row.pid);
                self.insert(pin, row);
            }
            Ok(Some(denial)) => return Err(denial),
            Err(Fault::Gone) => {}
            Err(fault) => return Err(fault.into()),
        }
        Ok(())
    }

    /// Looks at all processes for members.
    pub(crate) fn gather(&mut self) -> Result<(), Denial> {
        let rows = platform::rows(PROCESSES_MAX)?;
        self.look_again()?;
        self.spared.clear();
        let marked = self.marked(&rows);
        let mut left = rows;
        // A member may vouch for a row that was passed by before.
        while !self.is_full() {
            let before = left.len();
            left.retain(|row| !self.is_settled(row, marked.contains(&row.pid)));
            if left.len() == before {
                break;
            }
        }
        self.note_anchors(&left);
        Ok(())
    }

    /// Brings running members to a step; answers how many were not there yet. If there are more than are held, those
    /// that lead to the others are only frozen.
    pub(crate) fn bring(&mut self, step: Step) -> Result<usize, Denial> {
        let mut brought = 0;
        for pid in self.behind(step) {
            let Some(member) = self.members.get(&pid) else {
                continue;
            };
            // It may have changed its user since it was gathered.
            match denial_of(&member.pin, &member.row, &self.ourselves) {
                Ok(None) => {
                    // One that cannot be signalled must not keep the others from it: it will be a survivor.
                    if let Err(fault) = send(&member.pin, step) {
                        let row = member.row;
                        self.spare(&row, fault.into());
                    }
                    self.signalled = true;
                    brought += 1;
                }
                Ok(Some(denial)) => {
                    let row = member.row;
                    self.spare(&row, denial);
                    self.members.remove(&pid);
                    continue;
                }
                Err(Fault::Gone) => {}
                Err(fault) => return Err(fault.into()),
            }
            if let Some(member) = self.members.get_mut(&pid) {
                member.step = step;
            }
        }
        Ok(brought)
    }

    fn behind(&self, step: Step) -> Vec<i32> {
        let is_anchor = |member: &&Member| self.anchors.contains(&member.row.pid);
        let keeps_anchors = match step {
            Step::Asked | Step::Killed => !self.running().all(|member| is_anchor(&member)),
            Step::Gathered | Step::Frozen => false,
        };
        self.running()
            .filter(|member| member.step < step)
            .filter(|member| !(keeps_anchors && is_anchor(member)))
            .map(|member| member.row.pid)
            .collect()
    }

    /// Waits until no member runs, or for a time; with none, for that time.
    pub(crate) fn wait(&self, until: Instant) -> Result<(), Denial> {
        let pins: Vec<&Pin> = self.running().map(|member| &member.pin).collect();
        if pins.is_empty() {
            platform::wait(&mut [], until)?;
        }
        Ok(platform::wait_all(&pins, until)?)
    }

    /// Ends at once what is in cgroups of the resource, with whatever it starts meanwhile.
    pub(crate) fn kill_cgroups(&mut self) {
        self.signalled |= self.cgroups.kill(&self.ourselves);
    }

    /// Removes the cgroups of the resource, once nothing is in them.
    pub(crate) fn remove_cgroups(&self) {
        self.cgroups.remove();
    }

    /// Whether no member runs, and nothing that was not seen.
    pub(crate) fn is_over(&self) -> bool {
        self.running().next().is_none() && !self.is_some_unseen()
    }

    /// Whether something is in a cgroup of the resource that no look found: it is in another pid namespace, or ends and
    /// starts faster than can be looked.
    fn is_some_unseen(&self) -> bool {
        self.spared.is_empty() && self.cgroups.are_populated()
    }

    /// What may turn out to belong at another look.
    pub(crate) fn unsure(&self) -> &BTreeSet<i32> {
        &self.unsure
    }

    /// Whether there may be members that are not held for want of room.
    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= MEMBERS_MAX
    }

    /// What came of it, as of the last look.
    pub(crate) fn outcome(&self) -> Released {
        let running = self.running().map(|member| &member.row);
        let mut by_pid: BTreeMap<i32, Survivor> =
            running.map(|row| (row.pid, survivor(row, None))).collect();
        // What was spared says why.
        by_pid.extend(self.spared.clone());
        let survivors: Vec<Survivor> = by_pid.into_values().collect();
        match (survivors.is_empty(), self.signalled) {
            (false, _) => Released::TimedOut { survivors },
            (true, _) if self.is_some_unseen() => Released::Denied(Denial::Unverifiable {
                what: "processes in its cgroup cannot be seen".to_owned(),
            }),
            (true, true) => Released::Killed,
            (true, false) => Released::AlreadyGone,
        }
    }

    fn running(&self) -> impl Iterator<Item = &Member> {
        self.members
            .values()
            .filter(|member| member.pin.is_running())
    }

    /// Forgets what has ended, and notes what the rest leads.
    fn look_again(&mut self) -> Result<(), Fault> {
        let pids: Vec<i32> = self.members.keys().copied().collect();
        for pid in pids {
            let Some(mut member) = self.members.remove(&pid) else {
                continue;
            };
            let leads = self.groups.contains(&pid) || self.sessions.contains(&pid);
            match member.pin.row() {
                // Nothing hangs on a zombie, unless its number is that of a group.
                Ok(_) if !member.pin.is_running() && !leads => {}
                Ok(row) => {
                    member.row = row;
                    self.note_led(&row);
                    self.members.insert(pid, member);
                }
                Err(Fault::Gone) => {}
                Err(fault) => return Err(fault),
            }
        }
        let members = &self.members;
        let is_held = |number: &i32, of: fn(&Row) -> i32| {
            members.contains_key(number) || members.values().any(|m| of(&m.row) == *number)
        };
        self.groups.retain(|group| is_held(group, |row| row.group));
        self.sessions
            .retain(|session| is_held(session, |row| row.session));
        Ok(())
    }

    /// With no room for all, notes what leads to those that are not held: once it has ended, nothing may.
    fn note_anchors(&mut self, left: &[Row]) {
        self.anchors.clear();
        if self.is_full() {
            let parents = left.iter().map(|row| row.parent);
            self.anchors
                .extend(parents.filter(|pid| self.members.contains_key(pid)));
            self.anchors.extend(self.groups.union(&self.sessions));
        }
    }

    /// What is in a cgroup of the resource or carries the marker; read once for a look, as it is the dearest question.
    fn marked(&mut self, rows: &[Row]) -> BTreeSet<i32> {
        self.unsure.clear();
        let mut marked = BTreeSet::new();
        let Some(marker) = &self.terms.marker else {
            return marked;
        };
        for row in rows {
            if self.members.contains_key(&row.pid) || row.kernel_thread {
                continue;
            }
            if self.cgroups.note(row.pid) {
                marked.insert(row.pid);
                continue;
            }
            if row.state == 'Z' {
                continue;
            }
            match platform::mark(row.pid, marker) {
                Mark::Carried => drop(marked.insert(row.pid)),
                Mark::NotShown => drop(self.unsure.insert(row.pid)),
                Mark::Absent => {}
            }
        }
        marked
    }

    /// Whether nothing about a row can change any more while this look lasts; takes it in if it belongs.
    fn is_settled(&mut self, row: &Row, is_marked: bool) -> bool {
        if self.members.contains_key(&row.pid) {
            return true;
        }
        let might_belong = is_marked
            || self.members.contains_key(&row.parent)
            || self.groups.contains(&row.group)
            || self.sessions.contains(&row.session);
        if !might_belong || self.is_full() {
            return false;
        }
        if let Err(fault) = self.admit(row)
            && !matches!(fault, Fault::Gone | Fault::NotAProcess)
        {
            self.spare(row, fault.into());
        }
        true
    }

    /// Takes hold of what looks like a member, and takes it in if it is one.
    fn admit(&mut self, row: &Row) -> Result<(), Fault> {
        let pin = Pin::take(row.pid)?;
        let row = pin.row()?;
        let leads = row.group == row.pid || row.session == row.pid;
        if !(pin.is_running() || leads) {
            return Ok(());
        }
        if !self.is_proven(&pin, &row) {
            self.unsure.insert(row.pid);
            return Ok(());
        }
        match denial_of(&pin, &row, &self.ourselves)? {
            None => self.insert(pin, row),
            Some(denial) => self.spare(&row, denial),
        }
        Ok(())
    }

    /// Whether a member vouches for a process that is held. The row is older than this question, so whoever holds its
    /// number at the question held it when the row was read.
    fn is_proven(&self, pin: &Pin, row: &Row) -> bool {
        let by_parent = || {
            let parent = self.members.get(&row.parent);
            parent.is_some_and(|parent| parent.pin.is_running())
        };
        let by_group = || self.groups.contains(&row.group) && self.is_held(row.group, |r| r.group);
        let by_session =
            || self.sessions.contains(&row.session) && self.is_held(row.session, |r| r.session);
        let by_marker = || {
            let marker = self.terms.marker.as_ref();
            marker.is_some_and(|marker| pin.is_marked(marker))
        };
        by_parent() || by_group() || by_session() || self.cgroups.vouch_for(pin) || by_marker()
    }

    /// Whether the number of a group or session cannot have gone to another: its leader has it, or a member is in it.
    fn is_held(&self, number: i32, of: fn(&Row) -> i32) -> bool {
        let leader = self.members.get(&number);
        leader.is_some_and(|leader| leader.pin.has_number().unwrap_or(false))
            || self.members.values().any(|member| {
                of(&member.row) == number && member.pin.row().is_ok_and(|row| of(&row) == number)
            })
    }

    fn insert(&mut self, pin: Pin, row: Row) {
        self.note_led(&row);
        let step = Step::Gathered;
        self.members.insert(row.pid, Member { pin, row, step });
    }

    fn note_led(&mut self, row: &Row) {
        if row.group == row.pid {
            self.groups.insert(row.group);
        }
        if row.session == row.pid {
            self.sessions.insert(row.session);
        }
    }

    fn spare(&mut self, row: &Row, denial: Denial) {
        self.spared.insert(row.pid, survivor(row, Some(denial)));
    }
}
