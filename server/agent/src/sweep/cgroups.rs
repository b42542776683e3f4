//! The cgroups of the resource that a sweep is about: which there are, who is in them, and the end of all that is.
//!
//! Invariant: a cgroup is killed only when everything in it was looked at and nothing of it is on the deny list, while
//! nothing in it runs; what is in one with something that must not be signalled is ended one by one. What this deliberately
//! does not do: end anything outside of them, or look at one that another user made, but for what is ours in it. If this
//! process is in one itself, it is as if there were none.

use std::collections::BTreeSet;

use crate::cgroup::{Hierarchy, Name, Place, below, remove};
use crate::deny::Ourselves;
use crate::fault::Fault;
use crate::marker::Marker;
use crate::ourselves::denial_of;
use crate::platform::{self, Pin};

/// How many cgroups of one name are looked after: whoever starts a resource makes one.
const PLACES_MAX: usize = 16;

/// The cgroups of one resource.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// None where no process can be in one.
    name: Option<Name>,
    /// None where membership can be seen and nothing more.
    hierarchy: Option<Hierarchy>,
    places: BTreeSet<Place>,
}

impl Cgroups {
    /// Those of a marker that are there now.
    pub(super) fn find(marker: Option<&Marker>) -> Self {
        let own = platform::cgroup_path(platform::own_pid());
        let is_within = |name: &Name| own.as_ref().is_none_or(|own| name.root_in(own).is_some());
        let name = marker.and_then(Name::of).filter(|name| !is_within(name));
        let hierarchy = name.as_ref().and_then(|_| Hierarchy::find().ok());
        let places = name.as_ref().zip(hierarchy.as_ref());
        let places = places.map_or_else(Vec::new, |(name, hierarchy)| hierarchy.named(name));
        Self {
            name,
            hierarchy,
            places: places.into_iter().take(PLACES_MAX).collect(),
        }
    }

    /// Whether the process that has the number is in one; which is noted.
    pub(super) fn note(&mut self, pid: i32) -> bool {
        let Some(path) = self.path_of(pid) else {
            return false;
        };
        let place = self.place(&path);
        let is_one = place.is_some() || platform::is_of_our_user(pid);
        if self.places.len() < PLACES_MAX {
            self.places.extend(place);
        }
        is_one
    }

    /// Whether a process that is held is in one.
    pub(super) fn vouch_for(&self, pin: &Pin) -> bool {
        let pid = pin.pid();
        let is_one = |path: String| self.place(&path).is_some() || platform::is_of_our_user(pid);
        self.path_of(pid).is_some_and(is_one) && pin.has_number().unwrap_or(false)
    }

    /// Whether anything runs in one of them, seen or not.
    pub(super) fn are_populated(&self) -> bool {
        self.places.iter().any(Place::is_populated)
    }

    /// Ends all that is in those that may be ended as a whole; answers whether there was one.
    pub(super) fn kill(&self, ourselves: &Ourselves) -> bool {
        let mut killed = false;
        for place in self.places.iter().filter(|place| place.is_populated()) {
            killed |= kill(place, ourselves);
        }
        killed
    }

    /// Removes those that are empty.
    pub(super) fn remove(&self) {
        for place in &self.places {
            remove(&place.directory);
        }
    }

    /// Where a cgroup is that our user made. Names can be seen by all, and so be taken by somebody whose processes would
    /// keep the resource from ever being gone.
    fn place(&self, path: &str) -> Option<Place> {
        self.hierarchy.as_ref()?.place(path)
    }

    /// The path of the cgroup of the name that the process is in or below.
    fn path_of(&self, pid: i32) -> Option<String> {
        let name = self.name.as_ref()?;
        let path = platform::cgroup_path(pid)?;
        Some(name.root_in(&path)?.to_owned())
    }
}

/// Looks at what is in a cgroup, keeps it from changing, looks again, and ends it. What changes itself all the time, as a
/// process that forks and ends, is seen only while it is frozen; what is not ours to freeze is not frozen.
fn kill(place: &Place, ourselves: &Ourselves) -> bool {
    if !may_be_killed(place, ourselves) {
        return false;
    }
    // Without the file (before Linux 5.2) there is no other one either.
    let killed = place.freeze().is_ok() && may_be_killed(place, ourselves) && place.kill().is_ok();
    place.thaw();
    killed
}

fn may_be_killed(place: &Place, ourselves: &Ourselves) -> bool {
    let Ok(pids) = place.processes() else {
        return false;
    };
    pids.into_iter()
        .all(|pid| match is_free(place, pid, ourselves) {
            Ok(is_free) => is_free,
            // It ended; what is in another pid namespace has the number 0 here.
            Err(Fault::Gone) => pid > 0,
            Err(_) => false,
        })
}

/// Whether a process that the cgroup lists is in it and may be signalled.
fn is_free(place: &Place, pid: i32, ourselves: &Ourselves) -> Result<bool, Fault> {
    let pin = Pin::take(pid)?;
    let path = platform::cgroup_path(pid);
    let row = pin.row()?;
    let is_within = path.is_some_and(|path| below(&place.path, &path).is_some());
    Ok(is_within && denial_of(&pin, &row, ourselves)?.is_none())
}
