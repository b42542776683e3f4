//! Time as an argument: engine time for every deadline, wall time for display.
//!
//! Engine time is milliseconds of live server time. It stands still while the server is down and
//! does not see clock steps, so neither ends a lease or a session. Nothing in the core compares wall
//! times with one another.

/// Milliseconds of live server time since the store was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineTime(pub u64);

/// Milliseconds since the Unix epoch by the machine's clock: shown to people, never a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub u64);

/// A day of a calendar, in days since 1970-01-01. Which day it is, and whether its time has come, is said by whoever knows
/// the zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarDay(pub u32);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }
}

impl std::ops::Add<Span> for EngineTime {
    type Output = Self;

    /// Saturates: a deadline past the end of time is the end of time.
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl EngineTime {
    /// How long it is from `earlier` to here; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// The instant at which a decision is taken, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What deadlines are compared with.
    pub engine: EngineTime,
    /// What people are shown.
    pub wall: WallTime,
}

impl Now {
    /// The wall time at which engine time will read `at`, if the clock keeps its pace.
    #[must_use]
    pub fn wall_of(self, at: EngineTime) -> WallTime {
        if at >= self.engine {
            WallTime(self.wall.0.saturating_add(at.0 - self.engine.0))
        } else {
            WallTime(self.wall.0.saturating_sub(self.engine.0 - at.0))
        }
    }

    /// The engine time at which the wall clock will read `at`; now, if that has passed.
    #[must_use]
    pub fn engine_of(self, at: WallTime) -> EngineTime {
        self.engine + Span(at.0.saturating_sub(self.wall.0))
    }
}

/// A limit in time that may be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// It ends this long after its starting point.
    After(Span),
    /// It never ends.
    Never,
}

impl Limit {
    /// The first instant at which strictly more time is gone, counted from `start`.
    #[must_use]
    pub fn passed_at(self, start: EngineTime) -> Option<EngineTime> {
        self.from(start).map(|at| at + Span(1))
    }

    /// When the limit is reached, counted from `start`.
    #[must_use]
    pub fn from(self, start: EngineTime) -> Option<EngineTime> {
        match self {
            Self::After(span) => Some(start + span),
            Self::Never => None,
        }
    }
}
