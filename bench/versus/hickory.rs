//! `hickory-server` with a handler that does nothing but say NXDOMAIN: what a server costs that is built on it, before any list is asked.

use std::net::SocketAddr;

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::ResponseCode;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use crate::suite::fail;

/// Answers everything at once.
pub struct Nothing;

#[async_trait]
impl RequestHandler for Nothing {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut respond: R) -> ResponseInfo {
        let response =
            MessageResponseBuilder::from_message_request(request).error_msg(&request.metadata, ResponseCode::NXDomain);
        match respond.send_response(response).await {
            Ok(info) => info,
            Err(error) => fail(&format!("hickory-server can not answer: {error}")),
        }
    }
}

/// Answer on one thread until killed.
pub fn child(address: &str) {
    let address: SocketAddr = address.parse().unwrap_or_else(|error| fail(&format!("{address}: {error}")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| fail(&format!("no runtime for hickory-server: {error}")));
    let ended = runtime.block_on(async {
        let socket = tokio::net::UdpSocket::bind(address).await;
        let mut server = Server::new(Nothing);
        server.register_socket(socket.unwrap_or_else(|error| fail(&format!("{address}: {error}"))));
        server.block_until_done().await
    });
    fail(&format!("hickory-server has ended: {ended:?}"));
}
