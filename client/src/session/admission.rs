//! How the holder of a session waits for its slot.
//!
//! Keeps to one incarnation, reads it first and watches it from where it was
//! read, so that nothing falls between; it survives restarts of the server. It
//! sets no limit of its own: how long a session waits is said when it is opened.

use futures_util::TryStreamExt as _;
use sessiond_proto::v1 as pb;

use super::SessionHandle;
use crate::error::Error;
use crate::watch::WatchItem;

impl SessionHandle {
    /// The session as it is once it waits no longer for a slot of its pool:
    /// ACTIVE, or over before it had one, with CAPACITY for its reason when the
    /// wait was in vain. Returns at once for a session that does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when its record was purged, and what a watch refuses.
    pub async fn admitted(&self) -> Result<pb::Session, Error> {
        loop {
            let session = self.get().await?;
            if session.state() != pb::SessionState::Queued {
                return Ok(session);
            }
            self.until_news(session.revision).await?;
        }
    }

    /// Returns when an event shows that the session no longer waits, or when
    /// events may have been missed.
    async fn until_news(&self, revision: u64) -> Result<(), Error> {
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
                    if session.state() != pb::SessionState::Queued {
                        return Ok(());
                    }
                }
                WatchItem::Gap { .. } => return Ok(()),
                WatchItem::Started(_)
                | WatchItem::Initial(_)
                | WatchItem::InitialEnd
                | WatchItem::Bookmark(_)
                | WatchItem::Reconnected(_) => {}
            }
        }
        Ok(())
    }
}
