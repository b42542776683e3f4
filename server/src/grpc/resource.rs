//! ResourceService: what sessions have outside is declared, listed and released.
//!
//! Which process or tmux session a caller means is found out on this machine, beside the engine, for some seconds at
//! worst: it blocks, so it has threads of its own, and not too many. What this deliberately does not do: end anything.

use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::command::resource::{Declare, Register};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, NodeName};
use sessiond_core::node::{NodeKey, NodeRejection, Witness};
use sessiond_core::rejection::Rejection;
use sessiond_core::resource::{ResourceToken, Standing, Target};
use sessiond_core::rows::RowKey;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::resource_service_server::ResourceService;
use tokio::sync::Semaphore;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::context::faulted;
use super::{Handlers, agent_link, list_resources, release_resource};
use crate::env::{LocalCaller, Proof, Sought};
use crate::limits::REGISTRATIONS_AT_ONCE;
use crate::nodes::Answered;
use crate::nodes::ask::{Ask, Outcome};
use crate::transport::MaxAge;
use crate::wire::parse::declare_resource::{Declaration, DeclareCall};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// Room for lookups: on this machine, and on all others, which may be long in answering.
#[derive(Debug)]
pub(super) struct Lookups {
    here: Arc<Semaphore>,
    on_nodes: Semaphore,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            here: Arc::new(Semaphore::new(REGISTRATIONS_AT_ONCE)),
            on_nodes: Semaphore::new(REGISTRATIONS_AT_ONCE),
        }
    }
}

#[tonic::async_trait]
impl ResourceService for Handlers {
    async fn declare_resource(
        &self,
        request: Request<pb::DeclareResourceRequest>,
    ) -> Result<Response<pb::DeclareResourceResponse>, Status> {
        let (namespace, actor) = self.context.called(&request)?;
        let caller = local_caller(request.extensions());
        let call = parse::declare_resource::declare_resource(request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let command = match call {
            DeclareCall::Declare(asked) => {
                self.context.refuse_if_stopping()?;
                self.declaration((&namespace, actor), asked, caller).await?
            }
            DeclareCall::Register { resource, sought } => {
                let node = self.node_of(&namespace, resource)?;
                let marker = Some(resource);
                let found = match node {
                    None => self.find_out(sought, Proof { marker, caller }).await?,
                    Some(name) => {
                        self.find_out_on((namespace.clone(), name), sought, marker)
                            .await?
                    }
                };
                let (target, witness) = found;
                Command::Register(Box::new(Register {
                    namespace,
                    resource,
                    target,
                    witness,
                }))
            }
        };
        let (revision, reply) = self.context.ask(command).await?;
        Ok(Response::new(show::resource::declared(reply, revision)))
    }

    type AgentLinkStream = agent_link::Frames;

    async fn agent_link(
        &self,
        request: Request<Streaming<pb::AgentLinkRequest>>,
    ) -> Result<Response<agent_link::Frames>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        self.context.refuse_if_leaving()?;
        let called = (namespace, MaxAge::of(&request));
        let frames = agent_link::serve(&self.context, called, request.into_inner());
        Ok(Response::new(frames))
    }

    async fn list_resources(
        &self,
        request: Request<pb::ListResourcesRequest>,
    ) -> Result<Response<pb::ListResourcesResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        list_resources::resources(&self.context, &namespace, request.into_inner())
            .map(Response::new)
    }

    async fn list_nodes(
        &self,
        request: Request<pb::ListNodesRequest>,
    ) -> Result<Response<pb::ListNodesResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let rows = self.context.rows()?.nodes();
        let rows = rows.map_err(|fault| faulted(&fault))?;
        let linked = self.context.nodes.linked();
        let own = rows.iter().filter(|row| row.namespace == namespace);
        let nodes = own.map(|row| {
            let key = (namespace.clone(), row.name.clone());
            show::node::node(row, linked.contains(&key))
        });
        let nodes = nodes.collect();
        Ok(Response::new(pb::ListNodesResponse { nodes }))
    }

    async fn release_resource(
        &self,
        request: Request<pb::ReleaseResourceRequest>,
    ) -> Result<Response<pb::ReleaseResourceResponse>, Status> {
        let caller = self.context.called(&request)?;
        release_resource::serve(&self.context, &self.bulk, caller, request.into_inner())
            .await
            .map(Response::new)
    }
}

/// Who else may have something registered that does not carry a mark.
const ON_SERVER: &str = "the user of the server, over its UNIX socket";
const ON_NODE: &str = "everybody, if the agent of the node is started with --adopt";

impl Handlers {
    async fn declaration(
        &self,
        (namespace, actor): (&Namespace, Actor),
        asked: Declaration,
        caller: LocalCaller,
    ) -> Result<Command, Status> {
        let proof = Proof {
            marker: None,
            caller,
        };
        let node = asked.node.clone().map(|name| (namespace.clone(), name));
        let (target, witness) = match asked.sought.clone() {
            // Whatever it was when the first call came may have ended since: the record has the answer.
            Some(sought) if !self.is_repeat(namespace, &asked)? => match node {
                None => self.find_out(sought, proof).await?,
                Some(node) => self.find_out_on(node, sought, None).await?,
            },
            Some(_) | None => (Target::Marked, Witness::Server),
        };
        Ok(Command::Declare(Box::new(Declare {
            namespace: namespace.clone(),
            session: asked.session,
            name: asked.name,
            scope: asked.scope,
            node: asked.node,
            target,
            witness,
            salt: self.context.env.ids.salt(),
            request: asked.request,
            actor,
        })))
    }

    /// Whether a request of this id was answered before.
    fn is_repeat(&self, namespace: &Namespace, asked: &Declaration) -> Result<bool, Status> {
        let Some(tag) = &asked.request else {
            return Ok(false);
        };
        let place = RowKey::Request(namespace.clone(), tag.id.clone());
        let row = self.context.rows()?.row(&place);
        Ok(row.map_err(|fault| faulted(&fault))?.is_some())
    }

    /// The machine that a resource is on. What is not on record, or is released already, is told before anything is looked
    /// for.
    fn node_of(
        &self,
        namespace: &Namespace,
        token: ResourceToken,
    ) -> Result<Option<NodeName>, Status> {
        let row = self.context.rows()?.resources_of(token.session);
        let row = row.map_err(|fault| faulted(&fault))?;
        let row = row.filter(|row| row.namespace == *namespace);
        let rejection = match row.as_ref().and_then(|row| row.get(token)) {
            None => Rejection::ResourceNotFound { token },
            Some(resource) => match resource.standing {
                Standing::Released { outcome, .. } => {
                    Rejection::ResourceReleased { token, outcome }
                }
                Standing::Held | Standing::Releasing(_) => return Ok(resource.node.clone()),
            },
        };
        Err(Refusal::rejected(&rejection).into())
    }

    /// Finds out what is meant. A caller that hangs up meanwhile stops nothing, and nothing comes of it.
    async fn find_out(&self, sought: Sought, proof: Proof) -> Result<(Target, Witness), Status> {
        let room = Arc::clone(&self.lookups.here).acquire_owned().await;
        let room = room.expect("nobody closes the semaphore");
        let agent = Arc::clone(&self.context.env.agent);
        let found = tokio::task::spawn_blocking(move || {
            let found = agent.register(&sought, proof);
            drop(room);
            found
        });
        let found = found.await.expect("a lookup does not panic");
        let found = found.map_err(|why| Refusal::unregistered(&why, ON_SERVER))?;
        Ok((found, Witness::Server))
    }

    /// The same on another machine, by its agent.
    async fn find_out_on(
        &self,
        node: NodeKey,
        sought: Sought,
        marker: Option<ResourceToken>,
    ) -> Result<(Target, Witness), Status> {
        let _room = self.lookups.on_nodes.acquire().await;
        let ask = Ask::Register { sought, marker };
        match self.context.nodes.ask(&node, ask).await {
            Ok(Answered {
                epoch,
                outcome: Outcome::Registered(found),
                ..
            }) => {
                let found = found.map_err(|why| Refusal::unregistered(&why, ON_NODE))?;
                Ok((found, Witness::Agent(epoch)))
            }
            Ok(_) | Err(_) => {
                let (namespace, node) = node;
                let place = RowKey::Node(namespace, node.clone());
                let row = self.context.rows()?.row(&place);
                let rejection = match row.map_err(|fault| faulted(&fault))? {
                    Some(_) => Rejection::Node(NodeRejection::Away { node }),
                    None => Rejection::Node(NodeRejection::NotFound { node }),
                };
                Err(Refusal::rejected(&rejection).into())
            }
        }
    }
}

/// Who calls, by what the kernel says of the other end of a UNIX socket.
fn local_caller(extensions: &Extensions) -> LocalCaller {
    let peer = extensions.get::<UdsConnectInfo>();
    let uid = peer.and_then(|peer| peer.peer_cred).map(|cred| cred.uid());
    if uid == Some(rustix::process::getuid().as_raw()) {
        LocalCaller::SameUser
    } else {
        LocalCaller::Unknown
    }
}
