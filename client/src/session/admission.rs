//! How whoever holds a session waits for a state of it, its slot for example.
//!
//! Keeps to one incarnation, reads it first and watches it from where it was
//! read, so that nothing falls between; it survives restarts of the server. It
//! sets no limit of its own: whoever waits for no longer than so long stops
//! asking.

use futures_util::TryStreamExt as _;
use sessiond_proto::v1 as pb;

use super::SessionHandle;
use crate::error::Error;
use crate::watch::WatchItem;

/// How far a session is.
#[derive(Clone, Copy, Debug)]
struct Seen {
    state: pb::SessionState,
    /// Resources of it that are not released.
    unreleased: u32,
}

impl Seen {
    fn is_ended(self) -> bool {
        self.state == pb::SessionState::Ended
    }
}

impl SessionHandle {
    /// The session as it is once it waits no longer for a slot of its pool, or for
    /// the resources of its predecessor: ACTIVE, or over before it had one, with CAPACITY for its reason when the
    /// wait was in vain. Returns at once for a session that does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`SessionHandle::until`].
    pub async fn admitted(&self) -> Result<pb::Session, Error> {
        let leaves = |state| (state != pb::SessionState::Queued).then_some(());
        self.until(leaves).await?;
        self.get().await
    }

    /// The session once it has ended and all of its resources are released.
    /// Returns at once for one that has ended and has none.
    ///
    /// # Errors
    ///
    /// Those of [`SessionHandle::until`].
    pub async fn released(&self) -> Result<pb::Session, Error> {
        self.until_seen(|seen| (seen.is_ended() && seen.unreleased == 0).then_some(()))
            .await?;
        self.get().await
    }

    /// What `look` makes of the first state of the session of which it makes
    /// something: of the one that it has, or of one that it passes through.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when its record was purged, and what a watch refuses.
    pub async fn until<T>(
        &self,
        mut look: impl FnMut(pb::SessionState) -> Option<T>,
    ) -> Result<T, Error> {
        self.until_seen(|seen| look(seen.state)).await
    }

    async fn until_seen<T>(&self, mut look: impl FnMut(Seen) -> Option<T>) -> Result<T, Error> {
        loop {
            let session = self.get().await?;
            let seen = Seen {
                state: session.state(),
                unreleased: session.unreleased_resources,
            };
            if let Some(found) = look(seen) {
                return Ok(found);
            }
            if let Some(found) = self.watch_states(session.revision, &mut look).await? {
                return Ok(found);
            }
        }
    }

    /// The same of what comes behind a revision; nothing when some may have been
    /// missed.
    async fn watch_states<T>(
        &self,
        revision: u64,
        look: &mut impl FnMut(Seen) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let filter = pb::EventFilter {
            session_ids: vec![self.id().to_owned()],
            ..Default::default()
        };
        let watch = self.client.watch().after(revision).filter(filter);
        let mut items = watch.start();
        while let Some(item) = items.try_next().await? {
            match item {
                WatchItem::Event(event) => {
                    let session = event.session.unwrap_or_default();
                    let seen = Seen {
                        state: session.state(),
                        unreleased: session.unreleased_resources,
                    };
                    if let Some(found) = look(seen) {
                        return Ok(Some(found));
                    }
                }
                // What is missing can only be learned by reading again.
                WatchItem::Gap { .. } => break,
                WatchItem::Started(_)
                | WatchItem::Initial(_)
                | WatchItem::InitialEnd
                | WatchItem::Bookmark(_)
                | WatchItem::Reconnected(_) => {}
            }
        }
        Ok(None)
    }
}
