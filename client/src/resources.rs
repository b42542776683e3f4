//! Resources: processes and tmux sessions that must not outlive a session.
//!
//! One is declared before it is there, started with [`RESOURCE_ENV`] set to its
//! id, and registered by its pid; then nothing of it is lost, whoever dies in
//! between. Keeps nothing of its own: it fills in one request and sends it, for
//! each page once.

use futures_util::Stream;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::declare_resource_request::Target;

use crate::client::Client;
use crate::error::Error;
use crate::many_messages::Pages;
use crate::session::SessionHandle;

pub use sessiond_proto::RESOURCE_ENV;

/// The resources of a namespace.
#[derive(Clone, Debug)]
pub struct Resources {
    client: Client,
}

/// Which resources to release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseSelection {
    /// These.
    Ids(Vec<String>),
    /// Those that are not released and are called exactly so.
    Name(String),
    /// Those that are not released and have a name that matches: `*` stands for
    /// any run of characters, `?` for one.
    NameGlob(String),
}

/// A resource that is to go on record.
#[derive(Clone, Debug)]
#[must_use = "nothing is declared before `send`"]
pub struct DeclareBuilder {
    client: Client,
    request: pb::DeclareResourceRequest,
}

/// A release of resources, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing is released before `send` or `send_all`"]
pub struct ReleaseBuilder {
    client: Client,
    request: pb::ReleaseResourceRequest,
}

impl Client {
    /// The resources of the namespace.
    #[must_use]
    pub fn resources(&self) -> Resources {
        Resources {
            client: self.clone(),
        }
    }
}

impl SessionHandle {
    /// Prepares to declare a resource of the session; [`DeclareBuilder::send`]
    /// declares it.
    pub fn declare_resource(&self) -> DeclareBuilder {
        self.client().resources().declare(self.session_ref())
    }
}

// === impl Resources ===

impl Resources {
    /// Prepares to declare a resource of a session; [`DeclareBuilder::send`]
    /// declares it.
    pub fn declare(&self, session: pb::SessionRef) -> DeclareBuilder {
        DeclareBuilder {
            client: self.client.clone(),
            request: pb::DeclareResourceRequest {
                r#ref: Some(session),
                ..Default::default()
            },
        }
    }

    /// Says that a declared resource is this process of the resource's machine. It
    /// must have been started with [`RESOURCE_ENV`] set to the id, unless the
    /// server is called over its UNIX socket as its own user.
    ///
    /// # Errors
    ///
    /// What `DeclareResource` refuses, for example [`Error::PermissionDenied`].
    pub async fn register_process(
        &self,
        resource_id: impl Into<String>,
        pid: u32,
    ) -> Result<pb::Resource, Error> {
        let target = Target::Process(pb::ProcessTarget { pid });
        self.register(resource_id.into(), target).await
    }

    /// The same with a tmux session, whose server must have been started so.
    ///
    /// # Errors
    ///
    /// What `DeclareResource` refuses, for example [`Error::PermissionDenied`].
    pub async fn register_tmux(
        &self,
        resource_id: impl Into<String>,
        session: pb::TmuxTarget,
    ) -> Result<pb::Resource, Error> {
        self.register(resource_id.into(), Target::Tmux(session))
            .await
    }

    async fn register(&self, resource_id: String, target: Target) -> Result<pb::Resource, Error> {
        let request = pb::DeclareResourceRequest {
            resource_id,
            target: Some(target),
            ..Default::default()
        };
        let answer = self.client.declare_resource(request).await?;
        answer.resource.ok_or_else(no_resource)
    }

    /// Lists what is not released, those of older sessions first; pages are
    /// fetched as they are read. The stream ends after the first error.
    pub fn list(&self) -> impl Stream<Item = Result<pb::Resource, Error>> + Send + Unpin + use<> {
        let request = pb::ListResourcesRequest::default();
        self.client.list_all_resources(request)
    }

    /// Lists what is on record of one session, released ones included.
    pub fn list_of(
        &self,
        session: pb::SessionRef,
    ) -> impl Stream<Item = Result<pb::Resource, Error>> + Send + Unpin + use<> {
        self.client.list_all_resources(pb::ListResourcesRequest {
            r#ref: Some(session),
            ..Default::default()
        })
    }

    /// Prepares to release resources before their session ends;
    /// [`ReleaseBuilder::send_all`] has them go.
    pub fn release(&self, resources: ReleaseSelection) -> ReleaseBuilder {
        let mut request = pb::ReleaseResourceRequest::default();
        match resources {
            ReleaseSelection::Ids(ids) => request.resource_ids = ids,
            ReleaseSelection::Name(name) => request.name = name,
            ReleaseSelection::NameGlob(glob) => request.name_glob = glob,
        }
        ReleaseBuilder {
            client: self.client.clone(),
            request,
        }
    }
}

// === impl DeclareBuilder ===

impl DeclareBuilder {
    /// Calls it so.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.request.name = name.into();
        self
    }

    /// It is on another machine, the one that its agent, `sessiond agent`, calls
    /// so. Default: on the server's own.
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.request.node = node.into();
        self
    }

    /// Has it go with the lease of this epoch, which the session has at the
    /// moment. Default: with the session.
    pub fn lease_scope(mut self, epoch: u64) -> Self {
        self.request.set_scope(pb::ResourceScope::Lease);
        self.request.epoch = epoch;
        self
    }

    /// It is this process, which runs already: for callers who are the user of the
    /// server, over its UNIX socket, and on a node whose agent lets everybody.
    /// Default: it is about to be started.
    pub fn process(mut self, pid: u32) -> Self {
        self.request.target = Some(Target::Process(pb::ProcessTarget { pid }));
        self
    }

    /// It is this tmux session, which is there already: for callers as those of
    /// [`DeclareBuilder::process`].
    pub fn tmux(mut self, session: pb::TmuxTarget) -> Self {
        self.request.target = Some(Target::Tmux(session));
        self
    }

    /// Makes a repeat harmless beyond the repeats of the SDK.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request.request_id = request_id.into();
        self
    }

    /// Declares it. Start it with [`RESOURCE_ENV`] set to the id of the answer.
    ///
    /// # Errors
    ///
    /// What `DeclareResource` refuses.
    pub async fn send(self) -> Result<pb::Resource, Error> {
        let answer = self.client.declare_resource(self.request).await?;
        answer.resource.ok_or_else(no_resource)
    }
}

// === impl ReleaseBuilder ===

impl ReleaseBuilder {
    /// Counts them as gone at once, whatever is true; nothing is signalled any
    /// more.
    pub fn force(mut self) -> Self {
        self.request.force = true;
        self
    }

    /// Changes nothing, and answers which ones would go.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }

    /// Sets how many resources one call answers for at most. Default: 1,000. For
    /// resources that are not named by their ids.
    pub fn page_size(mut self, resources: u32) -> Self {
        self.request.page_size = resources;
        self
    }

    /// Has one page of them go, or the named ones, at most 256; the answer's
    /// `next_page_token` tells whether there are more. It answers when that is
    /// durable, not when they are gone.
    ///
    /// # Errors
    ///
    /// What `ReleaseResource` refuses. A resource that is refused is a result, not
    /// an error.
    pub async fn send(self) -> Result<pb::ReleaseResourceResponse, Error> {
        self.client.release_resources_page(self.request).await
    }

    /// Has all of them go, page by page, and answers with the results of all
    /// pages.
    ///
    /// # Errors
    ///
    /// Those of [`ReleaseBuilder::send`]; the pages before the one that failed
    /// are released.
    pub async fn send_all(mut self) -> Result<pb::ReleaseResourceResponse, Error> {
        let mut pages = Pages::new(&mut self.request.resource_ids, "");
        let mut whole = pb::ReleaseResourceResponse::default();
        loop {
            self.request.resource_ids = pages.names();
            let request = self.request.clone();
            let page = self.client.release_resources_page(request).await?;
            whole.results.extend(page.results);
            whole.revision = page.revision;
            if pages.next_id(&page.next_page_token).is_none() {
                return Ok(whole);
            }
            self.request.page_token = page.next_page_token;
        }
    }
}

fn no_resource() -> Error {
    Error::protocol("the server answered without a resource")
}
