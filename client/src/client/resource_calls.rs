//! The unary calls about what sessions have outside of the server.
//! [`Client::resources`] is the comfortable way; nothing is hidden here.

use std::time::Duration;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use super::calls::{BULK_WAIT, fill_request_id};
use super::pages::over_pages;
use super::{Client, DECODE_BYTES_MAX, ResourceCalls};
use crate::error::Error;
use crate::retry::Repeat;

impl Client {
    /// Puts a resource on record, or says what one that was declared turned out
    /// to be.
    ///
    /// # Errors
    ///
    /// What `DeclareResource` refuses, for example [`Error::PermissionDenied`]
    /// when what is named does not carry the mark of the resource.
    pub async fn declare_resource(
        &self,
        mut request: pb::DeclareResourceRequest,
    ) -> Result<pb::DeclareResourceResponse, Error> {
        // A registration is harmless to repeat by nature, and takes no id.
        if request.resource_id.is_empty() {
            fill_request_id(&mut request.request_id);
        }
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut resources = self.resource_calls();
            async move { resources.declare_resource(request).await }
        })
        .await
    }

    /// Lists one page of resources.
    ///
    /// # Errors
    ///
    /// What `ListResources` refuses.
    pub async fn list_resources(
        &self,
        request: pb::ListResourcesRequest,
    ) -> Result<pb::ListResourcesResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut resources = self.resource_calls();
            async move { resources.list_resources(request).await }
        })
        .await
    }

    /// Lists resources, those of older sessions first: the page of the request
    /// and all that follow.
    pub fn list_all_resources(
        &self,
        request: pb::ListResourcesRequest,
    ) -> impl Stream<Item = Result<pb::Resource, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list_resources(request).await?;
                Ok((page.resources, page.next_page_token))
            }
        })
    }

    /// Releases one page of resources, or those that are named.
    ///
    /// # Errors
    ///
    /// What `ReleaseResource` refuses. A resource that is refused is a result,
    /// not an error.
    pub async fn release_resources_page(
        &self,
        request: pb::ReleaseResourceRequest,
    ) -> Result<pb::ReleaseResourceResponse, Error> {
        self.call(Repeat::Harmless, BULK_WAIT, request, |request| {
            let mut resources = self.resource_calls();
            async move { resources.release_resource(request).await }
        })
        .await
    }

    /// Lists the machines other than the server's, by name, and whether their
    /// agents are linked.
    ///
    /// # Errors
    ///
    /// What `ListNodes` refuses.
    pub async fn nodes(&self) -> Result<pb::ListNodesResponse, Error> {
        let request = pb::ListNodesRequest {};
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut resources = self.resource_calls();
            async move { resources.list_nodes(request).await }
        })
        .await
    }

    /// Opens the link of a node's agent: `sessiond agent` is one. The first of
    /// `frames` must be a hello. It is not opened again when it breaks.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`] if the server does not begin to answer `within` this
    /// time; what `AgentLink` refuses comes as the error of the stream.
    pub async fn agent_link(
        &self,
        frames: impl Stream<Item = pb::AgentLinkRequest> + Send + 'static,
        within: Duration,
    ) -> Result<tonic::Streaming<pb::AgentLinkResponse>, Error> {
        let mut resources = ResourceCalls::new(self.channels.streams.clone())
            .max_decoding_message_size(DECODE_BYTES_MAX);
        let request = self.request(frames);
        match tokio::time::timeout(within, resources.agent_link(request)).await {
            Ok(answer) => Ok(answer.map_err(Error::from)?.into_inner()),
            Err(_) => Err(Error::deadline(format!("no answer within {within:?}"))),
        }
    }

    fn resource_calls(&self) -> ResourceCalls {
        ResourceCalls::new(self.channels.unary.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }
}
