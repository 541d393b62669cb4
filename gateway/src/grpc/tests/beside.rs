//! What is served beside messaging: health and reflection.

use super::world::world;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::{v1, v1alpha};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_serving_until_the_gateway_stops() {
    let world = world().await;
    let mut client = HealthClient::new(crate::grpc::service(world.gateway.broker().clone()));
    let messaging = "apache.rocketmq.v2.MessagingService";
    for service in ["", messaging] {
        let answer = client.check(about(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = client.check(about("another.Service")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    let mut watched = client.watch(about(messaging)).await.unwrap().into_inner();
    let mut strange = client.watch(about("another.Service")).await.unwrap().into_inner();
    assert_eq!(watched.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    assert_eq!(strange.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    world.gateway.stop().await;
    let rest =
        tokio::time::timeout(Duration::from_secs(5), watched.collect::<Vec<_>>()).await.unwrap();
    let rest: Vec<ServingStatus> =
        rest.iter().map(|r| r.as_ref().map(HealthCheckResponse::status).unwrap()).collect();
    assert_eq!(rest, [ServingStatus::NotServing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_in_both_its_versions() {
    let world = world().await;
    let routes = || crate::grpc::service(world.gateway.broker().clone());
    macro_rules! services {
        ($version:ident) => {{
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let mut client =
                $version::server_reflection_client::ServerReflectionClient::new(routes());
            let message_request = Some(MessageRequest::ListServices(String::new()));
            let request =
                $version::ServerReflectionRequest { host: String::new(), message_request };
            let answer = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            let answer = answer.into_inner().next().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                panic!("a list of services")
            };
            list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for services in [services!(v1), services!(v1alpha)] {
        for name in ["apache.rocketmq.v2.MessagingService", "grpc.health.v1.Health"] {
            assert!(services.iter().any(|service| service == name), "{services:?}");
        }
    }
}
